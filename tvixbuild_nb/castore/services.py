"""What a store must be able to do: the BlobService, DirectoryService, Batch and Backend protocols."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self, runtime_checkable

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.nodes import Directory, Node

# Blobs of at most so many bytes are small: worth having together.
SMALL = 256 << 10


class BlobWriter(Protocol):
    """Takes the bytes of one blob; nothing is visible in the store before :meth:`close`.

    As a context manager it is closed at the end of the block and aborted when an exception leaves it.
    """

    def write(self, data: bytes | memoryview) -> int: ...
    def lend(self, data: bytes | memoryview) -> int:
        """As write, but ``data`` may still be read until the next call returns: the store works beside the caller."""
        ...

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


class BlobReader(Protocol):
    """Positional reads of one blob, cheap to make; safe to be used by several threads."""

    @property
    def size(self) -> int:
        """Bytes of the blob."""
        ...

    def pread(self, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes from ``offset``; fewer only at the blob's end."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class BlobService(Protocol):
    """Blobs by BLAKE3 digest. Safe to be used by several threads."""

    def has(self, digest: Digest) -> bool: ...
    def missing(self, digests: Iterable[Digest]) -> set[Digest]:
        """Those of ``digests`` that the store does not hold, asked for all at once."""
        ...

    def size(self, digest: Digest) -> int | None:
        """Bytes of the blob, or None when the store does not hold it."""
        ...

    def open_read(self, digest: Digest) -> BinaryIO | None:
        """A seekable binary stream over the blob, or None when the store does not hold it.

        Read from start to end it raises :class:`DigestMismatch` before the last bytes are handed
        out, when they are not what the digest says.
        """
        ...

    def reader(self, digest: Digest) -> BlobReader | None:
        """Positional reads of the blob, or None when the store does not hold it."""
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

        Nothing when the root is unknown; :class:`NotFound` when one below it is missing,
        :class:`InvalidNode` when one has another size than its parent says.
        """
        ...


@runtime_checkable
class ManySmallBlobs(Protocol):
    """A BlobService that has many small blobs sooner together than one after the other."""

    def get_small(self, digests: Sequence[Digest]) -> dict[Digest, bytes]:
        """The bytes of those it holds that have at most :data:`SMALL`, checked; of others ``open_read`` knows.

        All of it is in memory: ask for no more than fits there. :class:`DigestMismatch` for damage.
        """
        ...


@runtime_checkable
class EncodedDirectories(Protocol):
    """A DirectoryService that has the messages themselves at hand, so that a part of one can be read."""

    def get_encoded(self, digest: Digest) -> bytes | None:
        """The canonical message, checked against the digest, or None when the store does not hold it."""
        ...


@runtime_checkable
class ManyDirectories(Protocol):
    """A DirectoryService that can be asked for many directories at once."""

    def missing(self, digests: Iterable[Digest]) -> set[Digest]:
        """Those of ``digests`` that the store does not hold."""
        ...


@runtime_checkable
class FarDirectories(Protocol):
    """A DirectoryService of which one question about a closure is answered sooner than one about each directory."""

    def expect(self, root: Digest) -> None:
        """What ``root`` reaches will be asked for: have it at hand, as far as there is room. What lacks shows then."""
        ...


@runtime_checkable
class WholeClosures(Protocol):
    """A DirectoryService that takes a directory only together with all below it."""

    def put_closure(self, root: Digest, get: Callable[[Digest], Directory | None]) -> None:
        """Store all that ``root`` reaches as ``get`` gives it, at once; :class:`NotFound` when that lacks some."""
        ...


class Batch(Protocol):
    """The writes of one ingest: visible together at :meth:`commit`, gone together at :meth:`abort`.

    The digests given to :meth:`put_blobs` are taken on trust: the caller has just computed them.
    While a batch is open, nothing it has stored or found present is collected as garbage.
    As a context manager it is aborted when the block ends without a commit.
    """

    def missing(self, digests: Iterable[Digest]) -> set[Digest]: ...
    def may_hold(self, size: int) -> bool:
        """False when certainly no stored blob of ``size`` bytes exists; a hint that saves reading twice."""
        ...

    def put_blobs(self, blobs: Sequence[tuple[Digest, bytes]]) -> None:
        """Store small blobs, those already there not again."""
        ...

    def open_write(self) -> BlobWriter: ...
    def put_directory(self, directory: Directory) -> Digest: ...
    def commit(self, *roots: Node) -> None:
        """Make it all visible; ``roots`` stay safe from gc for the life of this process."""
        ...

    def abort(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class GcReport:
    """What a collection deleted and what it left: counts, and ``bytes`` of blob contents."""

    blobs_deleted: int = 0
    directories_deleted: int = 0
    bytes_deleted: int = 0
    blobs_kept: int = 0
    directories_kept: int = 0
    bytes_kept: int = 0


@runtime_checkable
class PrefixIndex(Protocol):
    """A backend that can look digests up by how they begin; not every store has them in order."""

    def beginning_with(self, prefix: str, limit: int) -> list[Digest]:
        """Digests of blobs and directories, in order, whose hex begins with the hex digits ``prefix``."""
        ...


@runtime_checkable
class Listable(Protocol):
    """A backend that can tell all it holds; not every store can."""

    def all_blobs(self) -> Iterator[Digest]: ...
    def all_directories(self) -> Iterator[Digest]: ...


@runtime_checkable
class Endable(Protocol):
    """A backend that is far away: whoever asks it may wait for long, and somebody else must be able to end that."""

    def endable(self) -> tuple[Backend, Callable[[], None]]:
        """The same store for one piece of work, and what ends that, from any thread: its calls fail from then on."""
        ...


class Backend(Protocol):
    """One store behind a :class:`~tvixbuild_nb.castore.Castore`: both services and their upkeep."""

    @property
    def blobs(self) -> BlobService: ...
    @property
    def directories(self) -> DirectoryService: ...
    @property
    def address(self) -> str: ...
    @property
    def local_path(self) -> Path | None:
        """The store's directory, when another process can read it by that path."""
        ...

    def batch(self) -> Batch: ...
    def hold(self, node: Node) -> None:
        """Keep ``node`` and all it reaches from gc while this process has the store open."""
        ...

    def pin(self, name: str, node: Node) -> None:
        """Keep ``node`` and all it reaches, under ``name``, until :meth:`unpin`."""
        ...

    def unpin(self, name: str) -> bool: ...
    def pins(self) -> Mapping[str, Node]: ...
    def gc(self, roots: Iterable[Node], *, dry_run: bool = False) -> GcReport:
        """Delete what neither ``roots``, pins nor held nodes reach; ``dry_run`` only tells what that would be."""
        ...

    def sync(self) -> None:
        """Return when everything stored so far survives a power cut."""
        ...

    def close(self) -> None: ...
