"""The castore content of an opened record: what was not saved is told as such wherever somebody looks for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, TypeVar

from tvixbuild_nb.castore import Backend, Batch, BlobReader, Digest, Directory, GcReport, Node
from tvixbuild_nb.castore.services import BlobService, BlobWriter, DirectoryService
from tvixbuild_nb.errors import NotFound

Found = TypeVar("Found")


def not_saved(digest: Digest) -> NotFound:
    """The error for contents that a record has not."""
    return NotFound(
        "its contents were not saved in the record", path=str(digest), hint="run.save(path, outputs=True, inputs=True)"
    )


class SavedBlobs:
    """The blobs of ``inner``; reading another one raises :class:`NotFound`."""

    def __init__(self, inner: BlobService) -> None:
        self._inner = inner

    def has(self, digest: Digest) -> bool:
        return self._inner.has(digest)

    def missing(self, digests: Iterable[Digest]) -> set[Digest]:
        return self._inner.missing(digests)

    def size(self, digest: Digest) -> int | None:
        return self._inner.size(digest)

    def open_read(self, digest: Digest) -> BinaryIO:
        return _there(self._inner.open_read(digest), digest)

    def reader(self, digest: Digest) -> BlobReader:
        return _there(self._inner.reader(digest), digest)

    def open_write(self) -> BlobWriter:
        return self._inner.open_write()


class SavedDirectories:
    """The directories of ``inner``; reading another one raises :class:`NotFound`."""

    def __init__(self, inner: DirectoryService) -> None:
        self._inner = inner

    def get(self, digest: Digest) -> Directory:
        return _there(self._inner.get(digest), digest)

    def put(self, directory: Directory) -> Digest:
        return self._inner.put(directory)

    def put_many(self, directories: Iterable[Directory]) -> None:
        self._inner.put_many(directories)

    def get_closure(self, digest: Digest) -> Iterator[Directory]:
        self.get(digest)
        return self._inner.get_closure(digest)


class SavedStore:
    """The store ``inner`` as that of a record."""

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        self.blobs = SavedBlobs(inner.blobs)
        self.directories = SavedDirectories(inner.directories)

    @property
    def address(self) -> str:
        return self._inner.address

    @property
    def local_path(self) -> Path | None:
        return self._inner.local_path

    def batch(self) -> Batch:
        return self._inner.batch()

    def hold(self, node: Node) -> None:
        self._inner.hold(node)

    def pin(self, name: str, node: Node) -> None:
        self._inner.pin(name, node)

    def unpin(self, name: str) -> bool:
        return self._inner.unpin(name)

    def pins(self) -> Mapping[str, Node]:
        return self._inner.pins()

    def gc(self, roots: Iterable[Node], *, dry_run: bool = False) -> GcReport:
        return self._inner.gc(roots, dry_run=dry_run)

    def sync(self) -> None:
        self._inner.sync()

    def close(self) -> None:
        self._inner.close()


def _there(found: Found | None, digest: Digest) -> Found:
    if found is None:
        raise not_saved(digest)
    return found
