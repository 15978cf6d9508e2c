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

    def retain(self, live: set[Digest]) -> list[int]:
        """Forget all but ``live``; the sizes of what was forgotten."""
        dead = [digest for digest in list(self._blobs) if digest not in live]
        return [len(self._blobs.pop(digest)) for digest in dead]

    def sizes(self) -> list[int]:
        """The sizes of all blobs held."""
        return [len(data) for data in list(self._blobs.values())]


class MemoryDirectories:
    """A DirectoryService over a dictionary."""

    def __init__(self) -> None:
        self._directories: dict[Digest, Directory] = {}

    def get(self, digest: Digest) -> Directory | None:
        return self._directories.get(digest)

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

    def retain(self, live: set[Digest]) -> int:
        """Forget all but ``live``; how many were forgotten."""
        dead = [digest for digest in list(self._directories) if digest not in live]
        for digest in dead:
            del self._directories[digest]
        return len(dead)

    def __len__(self) -> int:
        return len(self._directories)


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

    def gc(self, roots: Iterable[Node]) -> GcReport:
        with self._lock:
            directories, blobs = reachable([*roots, *self._pins.values(), *self._held], self.directories.get)
            deleted = self.blobs.retain(blobs)
            directories_deleted = self.directories.retain(directories)
        kept = self.blobs.sizes()
        return GcReport(len(deleted), directories_deleted, sum(deleted), len(kept), len(self.directories), sum(kept))

    def sync(self) -> None:
        """Nothing to do: memory never survives."""

    def close(self) -> None:
        """Nothing to do."""
