"""Paths to inodes: what a path-based FUSE binding asks, answered from a view, accesses taken down."""

from __future__ import annotations

from collections.abc import Iterator

from tvixbuild_nb.castore.nodes import FileNode
from tvixbuild_nb.castore.reading import CheckedReader
from tvixbuild_nb.castore.services import BlobReader
from tvixbuild_nb.castore.writers import BytesReader
from tvixbuild_nb.errors import TvixBuildError
from tvixbuild_nb.fs.inodes import ROOT, View
from tvixbuild_nb.fs.trace import Recorder

MAX_READERS = 128


class Transport:
    """Answers of a :class:`View` by path, as :class:`tvixbuild_nb.fs.binding.Answers` wants them.

    A path is walked once and its inode number remembered; open readers are kept, the oldest make
    room. Without a ``recorder`` nothing is taken down but ``faults``. Not for several threads.
    """

    def __init__(self, view: View, recorder: Recorder | None = None) -> None:
        self._view = view
        # A recorder nobody asks costs as little as a test whether there is one.
        self._recorder = Recorder(view, max_missing=0) if recorder is None else recorder
        self._known: dict[bytes, int] = {b"/": ROOT}
        self._readers: dict[int, BlobReader] = {}

    @property
    def faults(self) -> list[str]:
        """What the view could not answer though it should, one text each."""
        return self._recorder.faults

    def getattr(self, path: bytes) -> tuple[int, int, int] | None:
        ino = self._known.get(path) or self._walk(path)
        return None if ino is None else self._view.attributes(ino)

    def readdir(self, path: bytes) -> Iterator[tuple[bytes, int, int]]:
        ino = self._inode(path)
        self._recorder.listed.add(ino)
        return self._view.readdir(ino)

    def readlink(self, path: bytes) -> bytes:
        return self._view.readlink(self._inode(path))

    def open(self, path: bytes) -> None:
        ino, opened = self._inode(path), self._recorder.opened
        if ino in opened:
            return  # the store had it
        if ino not in self._readers:
            self._open(ino)
        opened.add(ino)

    def read(self, path: bytes, size: int, offset: int) -> bytes:
        ino = self._inode(path)
        reader = self._readers.get(ino)
        if reader is None:
            reader = self._open(ino)
        data = reader.pread(offset, size)
        counts = self._recorder.read
        counts[ino] = counts.get(ino, 0) + len(data)
        return data

    def xattrs(self, path: bytes) -> dict[bytes, bytes]:
        return self._view.xattrs(self._inode(path))

    def fault(self, operation: str, path: bytes, error: Exception) -> None:
        shown = path.decode("utf-8", "backslashreplace")
        reason = f"{error.where}: {error.message}" if isinstance(error, TvixBuildError) else repr(error)
        self._recorder.fault(f"{operation.rstrip('_')} {shown}: {reason}")

    def close(self) -> None:
        """Close all readers."""
        while self._readers:
            self._readers.popitem()[1].close()

    def _inode(self, path: bytes) -> int:
        ino = self._known.get(path) or self._walk(path)
        if ino is None:
            raise FileNotFoundError("no such path in the view")
        return ino

    def _walk(self, path: bytes) -> int | None:
        """The inode at ``path``, from its longest known beginning; a miss is taken down."""
        known, recorder = self._known, self._recorder
        head, _, name = path.rpartition(b"/")
        parent = known.get(head or b"/") or self._walk(head)
        if parent is None:
            return None
        ino = self._view.lookup(parent, name)
        if ino is None:
            recorder.miss(parent, name)
            return None
        recorder.looked_up.add(ino)
        known[path] = ino
        return ino

    def _open(self, ino: int) -> BlobReader:
        readers = self._readers
        node = self._view.node(ino)
        reader = self._view.open(ino)
        if isinstance(node, FileNode) and not isinstance(reader, BytesReader):
            # The bytes come from a disk that others write to; small blobs the store has checked already.
            reader = CheckedReader(reader, node.digest)
        if len(readers) >= MAX_READERS:
            readers.pop(next(iter(readers))).close()
        readers[ino] = reader
        return reader
