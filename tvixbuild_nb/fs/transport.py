"""Paths to inodes: what a path-based FUSE binding asks, answered from a served view."""

from __future__ import annotations

from collections.abc import Iterator

from tvixbuild_nb.fs.inodes import ROOT
from tvixbuild_nb.fs.served import ServedView


class Transport:
    """Answers of a :class:`ServedView` by path, as :class:`tvixbuild_nb.fs.binding.Answers` wants them.

    A path is walked once and its inode number remembered. Not for several threads.
    """

    def __init__(self, served: ServedView) -> None:
        self._served = served
        self._view = served.view
        self._known: dict[bytes, int] = {b"/": ROOT}

    def getattr(self, path: bytes) -> tuple[int, int, int] | None:
        ino = self._known.get(path) or self._walk(path)
        return None if ino is None else self._view.attributes(ino)

    def readdir(self, path: bytes) -> Iterator[tuple[bytes, int, int]]:
        return self._served.readdir(self._inode(path))

    def readlink(self, path: bytes) -> bytes:
        return self._view.readlink(self._inode(path))

    def open(self, path: bytes) -> None:
        self._served.open(self._inode(path))

    def read(self, path: bytes, size: int, offset: int) -> bytes:
        return self._served.read(self._inode(path), size, offset)

    def xattrs(self, path: bytes) -> dict[bytes, bytes]:
        return self._view.xattrs(self._inode(path))

    def fault(self, operation: str, path: bytes, error: Exception) -> None:
        self._served.fault(operation.rstrip("_"), path, error)

    def _inode(self, path: bytes) -> int:
        ino = self._known.get(path) or self._walk(path)
        if ino is None:
            raise FileNotFoundError("no such path in the view")
        return ino

    def _walk(self, path: bytes) -> int | None:
        """The inode at ``path``, from its longest known beginning."""
        head, _, name = path.rpartition(b"/")
        parent = self._known.get(head or b"/") or self._walk(head)
        ino = None if parent is None else self._served.lookup(parent, name)
        if ino is not None:
            self._known[path] = ino
        return ino
