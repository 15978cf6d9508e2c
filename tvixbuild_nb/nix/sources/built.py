"""Store paths that were built here, remembered beside the castore that holds them."""

from __future__ import annotations

from tvixbuild_nb.castore import Castore, Node, copy_closure
from tvixbuild_nb.nix.pathinfo import PathInfo
from tvixbuild_nb.nix.sources.known import KnownPaths
from tvixbuild_nb.nix.sources.protocol import ClosingSource, not_found
from tvixbuild_nb.nix.storepath import StoreDir, StorePath

# What a build gave does not change; nothing of it can be seen without looking.
_WITNESS = "built"


class BuiltPaths(ClosingSource):
    """The outputs that builds put into ``castore`` and :meth:`add` noted in ``known``; those that a gc took are gone.

    Closing it leaves ``known`` open.
    """

    def __init__(self, castore: Castore, known: KnownPaths, store: StoreDir | None = None) -> None:
        self.store = store or StoreDir()
        self.address = "what was built here"
        self.parallel = 1
        self._castore = castore
        self._known = known

    def add(self, info: PathInfo, node: Node) -> None:
        """Note an output of a build that succeeded."""
        self._known.remember(self, info, _WITNESS, node)

    def _found(self, path: StorePath) -> tuple[PathInfo, Node] | None:
        info = self._known.info(self, path, _WITNESS)
        node = None if info is None else self._known.node(self, info, self._castore)
        return None if info is None or node is None else (info, node)

    def info(self, path: StorePath) -> PathInfo | None:
        found = self._found(path)
        return None if found is None else found[0]

    def node(self, path: StorePath, castore: Castore) -> Node:
        found = self._found(path)
        if found is None:
            raise not_found(self, path)
        if castore is not self._castore:
            copy_closure(self._castore, castore, found[1])
        return found[1]

    def witness(self, path: StorePath) -> str | None:
        return None
