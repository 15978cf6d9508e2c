"""The priority combinator: several stores in order, the first of which is written to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, TypeVar

from tvixbuild_nb.castore.castore import Castore
from tvixbuild_nb.castore.closure import walk_closure
from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.nodes import Directory, Node
from tvixbuild_nb.castore.services import Batch, BlobReader, BlobService, BlobWriter, GcReport

Found = TypeVar("Found")


def priority(*stores: Castore) -> Castore:
    """A Castore that reads from the first of ``stores`` that has it, and writes to the first; nothing is copied.

    Pins and gc are those of the first, where also all is stored that is written, whatever the others hold; closing it
    closes all. ValueError without stores.
    """
    if not stores:
        raise ValueError("priority() takes at least one store")
    return Castore(PriorityStore(stores))


def _first(found: Iterable[Found | None]) -> Found | None:
    return next((value for value in found if value is not None), None)


class PriorityBlobs:
    """The BlobService of several stores in order."""

    def __init__(self, services: Sequence[BlobService]) -> None:
        self._services = services

    def has(self, digest: Digest) -> bool:
        return any(service.has(digest) for service in self._services)

    def missing(self, digests: Iterable[Digest]) -> set[Digest]:
        absent = set(digests)
        for service in self._services:
            absent = service.missing(absent) if absent else absent
        return absent

    def size(self, digest: Digest) -> int | None:
        return _first(service.size(digest) for service in self._services)

    def open_read(self, digest: Digest) -> BinaryIO | None:
        return _first(service.open_read(digest) for service in self._services)

    def reader(self, digest: Digest) -> BlobReader | None:
        return _first(service.reader(digest) for service in self._services)

    def open_write(self) -> BlobWriter:
        return self._services[0].open_write()


class PriorityDirectories:
    """The DirectoryService of several stores in order."""

    def __init__(self, stores: Sequence[Castore]) -> None:
        self._stores = stores

    def get(self, digest: Digest) -> Directory | None:
        return _first(store.directories.get(digest) for store in self._stores)

    def missing(self, digests: Iterable[Digest]) -> set[Digest]:
        absent = set(digests)
        for store in self._stores:
            absent = store.missing_directories(absent) if absent else absent
        return absent

    def put(self, directory: Directory) -> Digest:
        return self._stores[0].directories.put(directory)

    def put_many(self, directories: Iterable[Directory]) -> None:
        self._stores[0].directories.put_many(directories)

    def get_closure(self, digest: Digest) -> Iterator[Directory]:
        return walk_closure(digest, self.get)


class PriorityStore:
    """The Backend behind :func:`priority`."""

    local_path: Path | None = None  # no single directory has it all

    def __init__(self, stores: Sequence[Castore]) -> None:
        self._stores = stores
        self.blobs = PriorityBlobs([store.blobs for store in stores])
        self.directories = PriorityDirectories(stores)

    @property
    def address(self) -> str:
        return f"priority({', '.join(store.address for store in self._stores)})"

    def batch(self) -> Batch:
        return self._stores[0].batch()

    def hold(self, node: Node) -> None:
        self._stores[0].hold(node)

    def pin(self, name: str, node: Node) -> None:
        self._stores[0].pin(name, node)

    def unpin(self, name: str) -> bool:
        return self._stores[0].unpin(name)

    def pins(self) -> Mapping[str, Node]:
        return self._stores[0].pins()

    def gc(self, roots: Iterable[Node], *, dry_run: bool = False) -> GcReport:
        return self._stores[0].gc(roots, dry_run=dry_run)

    def sync(self) -> None:
        self._stores[0].sync()

    def close(self) -> None:
        for store in self._stores:
            store.close()
