"""A view as it is served, by inode number: what transports have in common, accesses taken down.

Whoever speaks to the kernel, by paths or by inode numbers, asks here; how the kernel is spoken to is
not known here.
"""

from __future__ import annotations

from collections.abc import Iterator

from tvixbuild_nb.castore.nodes import FileNode
from tvixbuild_nb.castore.reading import CheckedReader
from tvixbuild_nb.castore.services import BlobReader
from tvixbuild_nb.castore.writers import BytesReader
from tvixbuild_nb.errors import TvixBuildError
from tvixbuild_nb.fs.inodes import DirEntry, View
from tvixbuild_nb.fs.trace import Recorder

MAX_READERS = 128


class ServedView:
    """A :class:`View` with open readers (the oldest make room) and a recorder; not for several threads.

    Without a ``recorder`` nothing is taken down but ``faults``. Errors are those of the view.
    """

    def __init__(self, view: View, recorder: Recorder | None = None) -> None:
        self.view = view
        # A recorder nobody asks costs as little as a test whether there is one.
        self._recorder = Recorder(view, max_missing=0) if recorder is None else recorder
        self._readers: dict[int, BlobReader] = {}

    @property
    def faults(self) -> list[str]:
        """What the view could not answer though it should, one text each."""
        return self._recorder.faults

    def lookup(self, parent: int, name: bytes) -> int | None:
        """The inode number of ``name`` in the directory ``parent``; None is a miss."""
        ino = self.view.lookup(parent, name)
        if ino is None:
            self._recorder.miss(parent, name)
        else:
            self._recorder.looked_up.add(ino)
        return ino

    def readdir(self, ino: int) -> Iterator[DirEntry]:
        self._recorder.listed.add(ino)
        return self.view.readdir(ino)

    def open(self, ino: int) -> None:
        """Make sure that the store has the file ``ino``."""
        opened = self._recorder.opened
        if ino in opened:
            return  # the store had it
        if ino not in self._readers:
            self._open(ino)
        opened.add(ino)

    def read(self, ino: int, size: int, offset: int) -> bytes:
        """Up to ``size`` bytes from ``offset``; shorter only at the end of the file."""
        reader = self._readers.get(ino)
        if reader is None:
            reader = self._open(ino)
        data = reader.pread(offset, size)
        counts = self._recorder.read
        counts[ino] = counts.get(ino, 0) + len(data)
        return data

    def fault(self, operation: str, path: bytes, error: Exception) -> None:
        """Take down that ``operation`` failed at ``path`` (absolute in the view) through the view's own fault."""
        shown = path.decode("utf-8", "backslashreplace")
        reason = f"{error.where}: {error.message}" if isinstance(error, TvixBuildError) else repr(error)
        self._recorder.fault(f"{operation} {shown}: {reason}")

    def close(self) -> None:
        """Close all readers."""
        while self._readers:
            self._readers.popitem()[1].close()

    def _open(self, ino: int) -> BlobReader:
        readers = self._readers
        node = self.view.node(ino)
        reader = self.view.open(ino)
        if isinstance(node, FileNode) and not isinstance(reader, BytesReader):
            # The bytes come from a disk that others write to; small blobs the store has checked already.
            reader = CheckedReader(reader, node.digest)
        if len(readers) >= MAX_READERS:
            readers.pop(next(iter(readers))).close()
        readers[ino] = reader
        return reader
