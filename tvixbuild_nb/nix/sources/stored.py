"""Store paths that are in a castore already."""

from __future__ import annotations

from collections.abc import Mapping

from tvixbuild_nb.castore import Castore, Node, copy_closure
from tvixbuild_nb.nix.nar import nar_of_node
from tvixbuild_nb.nix.pathinfo import PathInfo
from tvixbuild_nb.nix.sources.local import scanned_info
from tvixbuild_nb.nix.sources.protocol import ClosingSource, not_found
from tvixbuild_nb.nix.storepath import StoreDir, StorePath


class CastoreSource(ClosingSource):
    """The nodes of ``castore`` that ``paths`` names; they refer to those of the others that their contents name."""

    def __init__(self, castore: Castore, paths: Mapping[StorePath, Node], store: StoreDir | None = None) -> None:
        self.store = store or StoreDir()
        self.address = f"castore {castore.address}"
        self.parallel = 1
        self._castore = castore
        self._nodes = dict(paths)
        self._infos: dict[StorePath, PathInfo] = {}

    def info(self, path: StorePath) -> PathInfo | None:
        node = self._nodes.get(path)
        if node is None:
            return None
        if path not in self._infos:
            self._infos[path] = scanned_info(path, nar_of_node(self._castore, node), list(self._nodes))
        return self._infos[path]

    def node(self, path: StorePath, castore: Castore) -> Node:
        node = self._nodes.get(path)
        if node is None:
            raise not_found(self, path)
        if castore is not self._castore:
            copy_closure(self._castore, castore, node)
        return node

    def witness(self, path: StorePath) -> str | None:
        return None
