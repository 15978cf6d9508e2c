"""The caching combinator: a near store in front of a far one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from tvixbuild_nb.castore.ahead import small_of
from tvixbuild_nb.castore.castore import Castore
from tvixbuild_nb.castore.closure import copy_blob, in_order, walk_closure
from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.encoding import directory_digest
from tvixbuild_nb.castore.nodes import Directory, FileNode, Node
from tvixbuild_nb.castore.services import Batch, BlobReader, BlobService, BlobWriter, DirectoryService, GcReport
from tvixbuild_nb.errors import DigestMismatch, NotFound


def cache(near: Castore, far: Castore) -> Castore:
    """A Castore that reads from ``near``, fetches what is missing there from ``far``, and writes only to ``near``.

    What is fetched is checked against its digest first (:class:`DigestMismatch`) and then stays in ``near``.  Pins and
    gc are those of ``near``; closing it closes both.
    """
    return Castore(CachingStore(near, far))


class CachingBlobs:
    """The BlobService of a caching store."""

    def __init__(self, near: BlobService, far: BlobService, batch: Callable[[], Batch]) -> None:
        self._near = near
        self._far = far
        self._batch = batch

    def has(self, digest: Digest) -> bool:
        return self._near.has(digest) or self._far.has(digest)

    def missing(self, digests: Iterable[Digest]) -> set[Digest]:
        absent = self._near.missing(digests)
        return self._far.missing(absent) if absent else absent

    def size(self, digest: Digest) -> int | None:
        size = self._near.size(digest)
        return self._far.size(digest) if size is None else size

    def _fetch(self, digest: Digest) -> bool:
        if not self._far.has(digest):
            return False
        copy_blob(self._far, self._near, digest)
        return True

    def get_small(self, digests: Sequence[Digest]) -> dict[Digest, bytes]:
        """See :class:`ManySmallBlobs`: what the far store has together; all other ways lead through the near one."""
        found = small_of(self._far, sorted(self._near.missing(digests)))
        if found:
            with self._batch() as batch:
                batch.put_blobs(list(found.items()))
                batch.commit(*(FileNode(digest, len(data)) for digest, data in found.items()))
        return found

    def open_read(self, digest: Digest) -> BinaryIO | None:
        stream = self._near.open_read(digest)
        return self._near.open_read(digest) if stream is None and self._fetch(digest) else stream

    def reader(self, digest: Digest) -> BlobReader | None:
        reader = self._near.reader(digest)
        return self._near.reader(digest) if reader is None and self._fetch(digest) else reader

    def open_write(self) -> BlobWriter:
        return self._near.open_write()


class CachingDirectories:
    """The DirectoryService of a caching store."""

    def __init__(self, near: DirectoryService, far: DirectoryService) -> None:
        self._near = near
        self._far = far

    def get(self, digest: Digest) -> Directory | None:
        directory = self._near.get(digest)
        if directory is None and (directory := self._far.get(digest)) is not None:
            if directory_digest(directory) != digest:
                raise DigestMismatch("the far store sent another directory", path=str(digest))
            self._near.put(directory)
        return directory

    def put(self, directory: Directory) -> Digest:
        return self._near.put(directory)

    def put_many(self, directories: Iterable[Directory]) -> None:
        self._near.put_many(directories)

    def get_closure(self, digest: Digest) -> Iterator[Directory]:
        if self._near.get(digest) is None:
            self._fetch_closure(digest)
        return walk_closure(digest, self.get)

    def _fetch_closure(self, digest: Digest) -> None:
        """All that the far store has of it, in few requests where it can; what it lacks the near one may have."""
        found: dict[Digest, Directory] = {}
        with suppress(NotFound):
            for directory in self._far.get_closure(digest):
                found[directory_digest(directory)] = directory
        if found:
            self._near.put_many(in_order(found))


class CachingStore:
    """The Backend behind :func:`cache`."""

    def __init__(self, near: Castore, far: Castore) -> None:
        self._near = near
        self._far = far
        self.blobs = CachingBlobs(near.blobs, far.blobs, near.batch)
        self.directories = CachingDirectories(near.directories, far.directories)

    @property
    def address(self) -> str:
        return f"cache({self._near.address}, {self._far.address})"

    @property
    def local_path(self) -> Path | None:
        return None  # the near store alone may lack what another process would look for

    def batch(self) -> Batch:
        return self._near.batch()

    def hold(self, node: Node) -> None:
        self._near.hold(node)

    def pin(self, name: str, node: Node) -> None:
        self._near.pin(name, node)

    def unpin(self, name: str) -> bool:
        return self._near.unpin(name)

    def pins(self) -> Mapping[str, Node]:
        return self._near.pins()

    def gc(self, roots: Iterable[Node], *, dry_run: bool = False) -> GcReport:
        return self._near.gc(roots, dry_run=dry_run)

    def sync(self) -> None:
        self._near.sync()

    def close(self) -> None:
        self._near.close()
        self._far.close()
