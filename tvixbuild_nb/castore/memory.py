"""The store in memory (``memory:``): for tests, previews and short sessions."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from tvixbuild_nb.castore.closure import check_sizes, reachable, walk_closure
from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.encoding import directory_digest
from tvixbuild_nb.castore.nodes import Directory, Node
from tvixbuild_nb.castore.services import Batch, BlobReader, BlobWriter, GcReport
from tvixbuild_nb.castore.writers import BufferWriter, BytesReader, ServiceBatch


class MemoryBlobs:
    """A BlobService over a dictionary."""

    def __init__(self) -> None:
        self._blobs: dict[Digest, bytes] = {}

    def has(self, digest: Digest) -> bool:
        return digest in self._blobs

    def missing(self, digests: Iterable[Digest]) -> set[Digest]:
        return {digest for digest in digests if digest not in self._blobs}

    def size(self, digest: Digest) -> int | None:
        data = self._blobs.get(digest)
        return None if data is None else len(data)

    def open_read(self, digest: Digest) -> BinaryIO | None:
        data = self._blobs.get(digest)
        return None if data is None else io.BytesIO(data)

    def reader(self, digest: Digest) -> BlobReader | None:
        data = self._blobs.get(digest)
        return None if data is None else BytesReader(data)

    def open_write(self) -> BlobWriter:
        return BufferWriter(self._store)

    def _store(self, data: bytes) -> Digest:
        digest = Digest.of(data)
        self._blobs.setdefault(digest, data)
        return digest

    def sizes(self) -> dict[Digest, int]:
        """The sizes of all blobs held."""
        return {digest: len(data) for digest, data in list(self._blobs.items())}

    def forget(self, digests: Iterable[Digest]) -> None:
        """Hold these no more."""
        for digest in digests:
            del self._blobs[digest]


class MemoryDirectories:
    """A DirectoryService over a dictionary."""

    def __init__(self) -> None:
        self._directories: dict[Digest, Directory] = {}

    def get(self, digest: Digest) -> Directory | None:
        return self._directories.get(digest)

    def missing(self, digests: Iterable[Digest]) -> set[Digest]:
        return {digest for digest in digests if digest not in self._directories}

    def put(self, directory: Directory) -> Digest:
        digest = directory_digest(directory)
        check_sizes(directory, self.get)
        self._directories[digest] = directory
        return digest

    def put_many(self, directories: Iterable[Directory]) -> None:
        for directory in directories:
            self.put(directory)

    def get_closure(self, digest: Digest) -> Iterator[Directory]:
        return walk_closure(digest, self.get)

    def digests(self) -> set[Digest]:
        """The digests of all directories held."""
        return set(self._directories)

    def forget(self, digests: Iterable[Digest]) -> None:
        """Hold these no more."""
        for digest in digests:
            del self._directories[digest]


class MemoryStore:
    """Everything in this process's memory; another process cannot see it."""

    address = "memory:"
    local_path: Path | None = None

    def __init__(self) -> None:
        self.blobs = MemoryBlobs()
        self.directories = MemoryDirectories()
        self._pins: dict[str, Node] = {}
        self._held: set[Node] = set()
        self._lock = threading.Lock()

    def batch(self) -> Batch:
        return ServiceBatch(self.blobs, self.directories, on_commit=self._hold_all)

    def hold(self, node: Node) -> None:
        self._hold_all((node,))

    def _hold_all(self, nodes: Sequence[Node]) -> None:
        with self._lock:
            self._held.update(nodes)

    def pin(self, name: str, node: Node) -> None:
        self._pins[name] = node

    def unpin(self, name: str) -> bool:
        return self._pins.pop(name, None) is not None

    def pins(self) -> Mapping[str, Node]:
        return dict(self._pins)

    def all_blobs(self) -> Iterator[Digest]:
        return iter(self.blobs.sizes())

    def all_directories(self) -> Iterator[Digest]:
        return iter(self.directories.digests())

    def gc(self, roots: Iterable[Node], *, dry_run: bool = False) -> GcReport:
        with self._lock:
            directories, blobs = reachable([*roots, *self._pins.values(), *self._held], self.directories.get)
            sizes, known = self.blobs.sizes(), self.directories.digests()
            dead, dead_directories = sizes.keys() - blobs, known - directories
            if not dry_run:
                self.blobs.forget(dead)
                self.directories.forget(dead_directories)
        deleted = sum(sizes[digest] for digest in dead)
        return GcReport(
            len(dead), len(dead_directories), deleted,
            len(sizes) - len(dead), len(known) - len(dead_directories), sum(sizes.values()) - deleted,
        )  # fmt: skip

    def sync(self) -> None:
        """Nothing to do: memory never survives."""

    def close(self) -> None:
        """Nothing to do."""
