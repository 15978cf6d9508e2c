"""What a store must be able to do: the BlobService and DirectoryService protocols."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import BinaryIO, Protocol, Self, runtime_checkable

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.nodes import Directory


class BlobWriter(Protocol):
    """Takes the bytes of one blob; nothing is visible in the store before :meth:`close`.

    As a context manager it is closed at the end of the block and aborted when an exception leaves it.
    """

    def write(self, data: bytes | memoryview) -> int: ...
    def close(self) -> Digest:
        """Store the blob (unless it is there already) and return its digest. Idempotent."""
        ...

    def abort(self) -> None:
        """Forget what was written; nothing stays behind. Idempotent, no effect after close."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@runtime_checkable
class BlobService(Protocol):
    """Blobs by BLAKE3 digest. Safe to be used by several threads."""

    def has(self, digest: Digest) -> bool: ...
    def size(self, digest: Digest) -> int | None:
        """Bytes of the blob, or None when the store does not hold it."""
        ...

    def open_read(self, digest: Digest) -> BinaryIO | None:
        """A seekable binary stream over the blob, or None when the store does not hold it."""
        ...

    def open_write(self) -> BlobWriter: ...


@runtime_checkable
class DirectoryService(Protocol):
    """Directories by the digest of their canonical encoding. Safe to be used by several threads."""

    def get(self, digest: Digest) -> Directory | None: ...
    def put(self, directory: Directory) -> Digest: ...
    def put_many(self, directories: Iterable[Directory]) -> None:
        """Store several at once, leaves first; one transaction where the store knows such."""
        ...

    def get_closure(self, digest: Digest) -> Iterator[Directory]:
        """The directory and everything below it, root first, each directory once.

        Nothing when the root is unknown; :class:`NotFound` when one below it is missing.
        """
        ...
