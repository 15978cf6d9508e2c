"""Which inputs are here as a whole: looked through once, and again when something went wrong with them."""

from __future__ import annotations

import threading

from tvixbuild_nb.build import CancelToken
from tvixbuild_nb.castore import Castore, Digest, Directory, DirectoryNode, Node, SymlinkNode
from tvixbuild_nb.castore.closure import reachable
from tvixbuild_nb.errors import InvalidRequest, NotFound
from tvixbuild_nb.request import BuildRequest

# Inputs that are remembered; whoever has more in turn is looked through again.
_MOST = 10_000


class WholeInputs:
    """Looks for the inputs of requests in ``castore``, and holds them there."""

    def __init__(self, castore: Castore) -> None:
        self._castore = castore
        self._lock = threading.Lock()
        self._whole: set[Node] = set()

    def check(self, request: BuildRequest, cancel: CancelToken) -> None:
        """:class:`NotFound` for an input that is not here as a whole, :class:`InvalidRequest` for one of a wrong size.

        :class:`Cancelled` as soon as that is asked for.
        """
        for index, (name, node) in enumerate(request.inputs.items()):
            with self._lock:
                if node in self._whole:
                    continue
            self._castore.hold(node)
            absent = self._missing(node, cancel)
            if absent:
                raise NotFound(
                    f"of the input {name!r} the store lacks {len(absent)} blobs or directories, one is {absent[0]}",
                    path="inputs", index=index, stage="request", hint="upload it as a whole first",
                )  # fmt: skip
            self._check_size(name, index, node)
            with self._lock:
                if len(self._whole) >= _MOST:
                    self._whole.clear()
                self._whole.add(node)

    def forget(self, request: BuildRequest) -> None:
        """Look through the inputs of ``request`` again the next time: damage that a build met with shows there."""
        with self._lock:
            self._whole.difference_update(request.inputs.values())

    def _missing(self, node: Node, cancel: CancelToken) -> list[Digest]:
        absent: set[Digest] = set()

        def get(digest: Digest) -> Directory | None:
            cancel.check()
            directory = self._castore.directories.get(digest)
            if directory is None:
                absent.add(digest)
            return directory

        _, blobs = reachable([node], get)
        return sorted(absent | self._castore.blobs.missing(blobs))

    def _check_size(self, name: str, index: int, node: Node) -> None:
        """Those of the entries below were checked when their directories came."""
        if isinstance(node, SymlinkNode):
            return
        if isinstance(node, DirectoryNode):
            directory = self._castore.directories.get(node.digest)
            size = None if directory is None else directory.size
        else:
            size = self._castore.blobs.size(node.digest)
        if size != node.size:
            raise InvalidRequest(
                f"the input {name!r} says it has size {node.size}; what is stored has {size}",
                path="inputs", index=index, stage="request",
            )  # fmt: skip
