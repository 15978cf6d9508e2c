"""The local store itself: its two services, its upkeep, and what its parts share."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

from tvixbuild_nb.castore.closure import check_sizes, walk_closure
from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.encoding import decode_directory, decode_node, directory_digest, encode_node
from tvixbuild_nb.castore.local.batch import LocalBatch, LocalWriter
from tvixbuild_nb.castore.local.index import OWN_FILE, Index, Place
from tvixbuild_nb.castore.local.layout import Layout, boot_id, system_errors
from tvixbuild_nb.castore.local.locks import Lease, reap
from tvixbuild_nb.castore.local.packs import PackAppender, PackReader
from tvixbuild_nb.castore.local.sync import Flusher, forget_lost, sync
from tvixbuild_nb.castore.nodes import Directory, DirectoryNode, FileNode, Node
from tvixbuild_nb.castore.reading import REPAIR, FileReader, VerifyingFile
from tvixbuild_nb.castore.services import BlobReader, GcReport
from tvixbuild_nb.castore.writers import BytesReader
from tvixbuild_nb.errors import DigestMismatch, StoreError


class LocalStore:
    """One directory, used by many processes and threads at once.

    Parameters: ``path`` is made when it does not exist; ``read_only`` opens an existing store without
    writing anything, while others write.  :class:`StoreError` when it is no store, has a newer format,
    or the system refuses.
    """

    def __init__(self, path: str | os.PathLike[str], *, read_only: bool = False) -> None:
        self.layout = Layout(Path(path))
        self.layout.prepare(create=not read_only)
        self.read_only = read_only
        self.boot = boot_id()
        self.index = Index(self.layout, read_only=read_only)
        self.appender = PackAppender(self.layout, self.index, self.boot)
        self.packs = PackReader(self.layout)
        self.flusher = Flusher(self)
        self._lease: Lease | None = None
        self._lease_mutex = threading.Lock()
        self._temporary = count()
        self.blobs = LocalBlobs(self)
        self.directories = LocalDirectories(self)
        if not read_only:
            forget_lost(self)

    @property
    def address(self) -> str:
        return f"file:{self.layout.root}"

    @property
    def local_path(self) -> Path | None:
        return self.layout.root

    def lease(self) -> Lease:
        """This process's sign of life, made when it first writes; dead processes' traces go then."""
        with self._lease_mutex:
            if self._lease is None:
                with system_errors(self.layout.live):
                    self.reap()
                    self._lease = Lease(self.layout.live)
            return self._lease

    def reap(self) -> None:
        """Remove what dead processes left: their locks, temporary files and held roots."""
        dead = set(reap(self.layout.live))
        if not dead:
            return
        for path in self.layout.tmp.iterdir():
            if path.name.partition(".")[0] in dead:
                path.unlink(missing_ok=True)
        with self.index.transaction() as db:
            db.executemany("DELETE FROM held WHERE lease = ?", [(name,) for name in dead])

    def new_temporary(self) -> Path:
        """A path in ``tmp`` that nobody else uses."""
        return self.layout.tmp / f"{self.lease().name}.{next(self._temporary)}"

    def batch(self) -> LocalBatch:
        if self.read_only:
            raise StoreError("the store was opened read-only", path=self.layout.root)
        self.lease()
        return LocalBatch(self)

    def hold(self, node: Node) -> None:
        name = self.lease().name
        with self.index.transaction() as db:
            db.execute("INSERT OR IGNORE INTO held VALUES (?, ?)", (name, encode_node(b"", node)))

    def pin(self, name: str, node: Node) -> None:
        with self.index.transaction() as db:
            db.execute("INSERT OR REPLACE INTO pins VALUES (?, ?)", (name, encode_node(b"", node)))

    def unpin(self, name: str) -> bool:
        with self.index.transaction() as db:
            return db.execute("DELETE FROM pins WHERE name = ?", (name,)).rowcount > 0

    def pins(self) -> Mapping[str, Node]:
        rows = self.index.query("SELECT name, node FROM pins ORDER BY name")
        return {str(name): _read_node(node) for name, node in rows}

    def held(self) -> list[Node]:
        """What living processes hold."""
        return [_read_node(node) for (node,) in self.index.query("SELECT DISTINCT node FROM held")]

    def beginning_with(self, prefix: str, limit: int) -> list[Digest]:
        return self.index.beginning_with(prefix, limit)

    def all_blobs(self) -> Iterator[Digest]:
        return self.index.all("blobs")

    def all_directories(self) -> Iterator[Digest]:
        return self.index.all("directories")

    def forget_damaged(self, digest: Digest) -> None:
        """Drop a blob whose bytes are wrong from the index, so that ingesting it again mends the store."""
        if not self.read_only:
            with self.index.transaction() as db:
                db.execute("DELETE FROM blobs WHERE digest = ?", (digest,))

    def gc(self, roots: Iterable[Node], *, dry_run: bool = False) -> GcReport:
        from tvixbuild_nb.castore.local.gc import collect

        return collect(self, roots, dry_run)

    def sync(self) -> None:
        sync(self)

    def close(self) -> None:
        self.flusher.stop()
        self.appender.close()
        self.packs.close()
        self.index.close()
        if self._lease is not None:
            self._lease.release()
            self._lease = None


def _read_node(data: object) -> Node:
    assert isinstance(data, bytes)
    return decode_node(data, named=False)[1]


class LocalBlobs:
    """The BlobService of a local store."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store

    def has(self, digest: Digest) -> bool:
        return self._store.index.find(digest) is not None

    def missing(self, digests: Iterable[Digest]) -> set[Digest]:
        return self._store.index.missing(digests)

    def size(self, digest: Digest) -> int | None:
        place = self._store.index.find(digest)
        return None if place is None else place.size

    def open_read(self, digest: Digest) -> BinaryIO | None:
        found = self._open(digest)
        if found is None:
            return None
        if isinstance(found, bytes):
            return io.BytesIO(found)
        return VerifyingFile(found, digest, on_mismatch=lambda: self._store.forget_damaged(digest)).buffered()

    def reader(self, digest: Digest) -> BlobReader | None:
        """Positional reads. Small blobs are checked against their digest here, of large ones only the size."""
        found = self._open(digest)
        return BytesReader(found) if isinstance(found, bytes) else found

    def _open(self, digest: Digest) -> bytes | FileReader | None:
        store = self._store
        # Twice: a collection may move a blob to another pack between the two steps.
        for last in (False, True):
            place = store.index.find(digest)
            if place is None:
                return None
            try:
                return self._open_file(digest, place) if place.pack == OWN_FILE else self._read(digest, place)
            except FileNotFoundError as error:
                if last:
                    store.forget_damaged(digest)
                    raise DigestMismatch(
                        "the file that should hold this blob is gone", path=str(digest), hint=REPAIR
                    ) from error
            except OSError as error:
                raise StoreError(error.strerror or str(error), path=str(digest)) from error
        raise AssertionError("unreachable")

    def _read(self, digest: Digest, place: Place) -> bytes:
        data = self._store.packs.pread(place.pack, place.offset, place.size)
        if blake3(data).digest() != digest:
            self._store.forget_damaged(digest)
            raise DigestMismatch("the bytes in the store are not what their digest says", path=str(digest), hint=REPAIR)
        return data

    def _open_file(self, digest: Digest, place: Place) -> FileReader:
        reader = FileReader(os.open(self._store.layout.blob(digest), os.O_RDONLY | os.O_CLOEXEC), place.size)
        actual = os.fstat(reader.fd).st_size
        if actual != place.size:
            reader.close()
            self._store.forget_damaged(digest)
            raise DigestMismatch(
                f"the blob's file has {actual} bytes instead of {place.size}", path=str(digest), hint=REPAIR
            )
        return reader

    def open_write(self) -> LocalWriter:
        """A writer with a batch of its own; its blob is held for the life of this process."""
        store = self._store
        if store.read_only:
            raise StoreError("the store was opened read-only", path=store.layout.root)

        def keep_large(digest: Digest, path: Path, size: int) -> None:
            with store.batch() as batch:
                batch.keep_large(digest, path, size)
                batch.commit(FileNode(digest, size))

        def keep_small(digest: Digest, data: bytes) -> None:
            with store.batch() as batch:
                batch.put_blobs([(digest, data)])
                batch.commit(FileNode(digest, len(data)))

        return LocalWriter(store, keep_large, keep_small)


class LocalDirectories:
    """The DirectoryService of a local store."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store

    def get(self, digest: Digest) -> Directory | None:
        data = self.get_encoded(digest)
        return None if data is None else decode_directory(data)

    def get_encoded(self, digest: Digest) -> bytes | None:
        data = self._store.index.directory(digest)
        if data is not None and blake3(data).digest() != digest:
            raise DigestMismatch("the directory in the store is not what its digest says", path=str(digest))
        return data

    def missing(self, digests: Iterable[Digest]) -> set[Digest]:
        return self._store.index.missing(digests, "directories")

    def put(self, directory: Directory) -> Digest:
        self.put_many([directory])
        return directory_digest(directory)

    def put_many(self, directories: Iterable[Directory]) -> None:
        fresh: dict[Digest, Directory] = {}
        with self._store.batch() as batch:
            for directory in directories:
                check_sizes(directory, lambda digest: fresh.get(digest) or self.get(digest))
                fresh[batch.put_directory(directory)] = directory
            inner = {node.digest for d in fresh.values() for _, node in d if isinstance(node, DirectoryNode)}
            batch.commit(*[DirectoryNode(digest, d.size) for digest, d in fresh.items() if digest not in inner])

    def get_closure(self, digest: Digest) -> Iterator[Directory]:
        return walk_closure(digest, self.get)
