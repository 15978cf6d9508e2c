"""Blob writers, readers and batches that any store can use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Self

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.encoding import directory_digest
from tvixbuild_nb.castore.nodes import Directory, Node
from tvixbuild_nb.castore.services import BlobService, BlobWriter, DirectoryService


class ClosingWriter:
    """The context manager half of a BlobWriter: close at the end, abort when an exception leaves."""

    def write(self, data: bytes | memoryview) -> int:
        raise NotImplementedError

    def lend(self, data: bytes | memoryview) -> int:
        return self.write(data)

    def close(self) -> Digest:
        raise NotImplementedError

    def abort(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


class BufferWriter(ClosingWriter):
    """A BlobWriter that collects everything in memory and hands it to ``store`` at close."""

    def __init__(self, store: Callable[[bytes], Digest]) -> None:
        self._store = store
        self._buffer: bytearray | None = bytearray()
        self._digest: Digest | None = None

    def write(self, data: bytes | memoryview) -> int:
        if self._buffer is None:
            raise ValueError("write to a closed blob writer")
        self._buffer += data
        return len(data)

    def close(self) -> Digest:
        if self._digest is None:
            if self._buffer is None:
                raise ValueError("close of an aborted blob writer")
            self._digest = self._store(bytes(self._buffer))
            self._buffer = None
        return self._digest

    def abort(self) -> None:
        self._buffer = None


class BytesReader:
    """A BlobReader over bytes in memory."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        return len(self._data)

    def pread(self, offset: int, size: int) -> bytes:
        return self._data[offset : offset + size]

    def close(self) -> None:
        """Nothing to do."""


class AbortingBatch:
    """The context manager half of a Batch: abort unless committed."""

    def abort(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()


class ServiceBatch(AbortingBatch):
    """A Batch over any two services: blobs go in one by one, directories together at commit.

    ``on_commit`` is told the roots.  After an abort blobs may stay behind, which nothing refers to.
    """

    def __init__(
        self,
        blobs: BlobService,
        directories: DirectoryService,
        on_commit: Callable[[Sequence[Node]], None] = lambda roots: None,
    ) -> None:
        self._blobs = blobs
        self._directories = directories
        self._on_commit = on_commit
        self._pending: dict[Digest, Directory] = {}

    def missing(self, digests: Iterable[Digest]) -> set[Digest]:
        return self._blobs.missing(digests)

    def may_hold(self, size: int) -> bool:
        return True

    def put_blobs(self, blobs: Sequence[tuple[Digest, bytes]]) -> None:
        absent = self._blobs.missing(digest for digest, _ in blobs)
        for digest, data in blobs:
            if digest in absent:
                with self._blobs.open_write() as writer:
                    writer.write(data)
                absent.discard(digest)

    def open_write(self) -> BlobWriter:
        return self._blobs.open_write()

    def put_directory(self, directory: Directory) -> Digest:
        digest = directory_digest(directory)
        self._pending[digest] = directory
        return digest

    def commit(self, *roots: Node) -> None:
        self._directories.put_many(self._pending.values())
        self._pending.clear()
        self._on_commit(roots)

    def abort(self) -> None:
        self._pending.clear()
