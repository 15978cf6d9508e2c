"""A batch on a local store: bytes are written at once, the index learns of them at commit."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from blake3 import blake3

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.encoding import encode_directory, encode_node
from tvixbuild_nb.castore.holes import is_hole
from tvixbuild_nb.castore.local.index import OWN_FILE
from tvixbuild_nb.castore.local.layout import LARGE, store_error, system_errors
from tvixbuild_nb.castore.local.locks import FileLock
from tvixbuild_nb.castore.nodes import Directory, Node
from tvixbuild_nb.castore.writers import AbortingBatch, ClosingWriter

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    from tvixbuild_nb.castore.local.store import LocalStore

# So many small blobs known only in memory, then the index learns of them, with or without a commit.
_ROWS_AT_ONCE = 200_000

# A blob of this many bytes gets a thread that writes while it is hashed; for less, starting one does not pay.
_BESIDE_FROM = 8 << 20


class LocalBatch(AbortingBatch):
    """The Batch of a local store; safe for several threads. Holds ``gc.lock`` shared while it is open."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self._mutex = threading.Lock()
        with system_errors(store.layout.gc_lock):
            self._gc_lock: FileLock | None = FileLock(store.layout.gc_lock, shared=True)
        self._rows: dict[Digest, tuple[int, int, int]] = {}
        self._large: dict[Digest, tuple[Path, int]] = {}
        self._directories: dict[Digest, bytes] = {}

    def missing(self, digests: Iterable[Digest]) -> set[Digest]:
        with self._mutex:
            unknown = [digest for digest in digests if digest not in self._rows and digest not in self._large]
        return self._store.index.missing(unknown)

    def may_hold(self, size: int) -> bool:
        if size < LARGE:
            return True
        with self._mutex:
            if any(size == other for _, other in self._large.values()):
                return True
        return self._store.index.has_large(size)

    def put_blobs(self, blobs: Sequence[tuple[Digest, bytes]]) -> None:
        fresh = dict(blobs)
        absent = self.missing(fresh)
        small: list[tuple[Digest, bytes]] = []
        for digest in fresh:
            if digest not in absent:
                continue
            if len(fresh[digest]) < LARGE:
                small.append((digest, fresh[digest]))
            else:
                with self.open_write() as writer:
                    writer.write(fresh[digest])
        if small:
            self._append(small)

    def _append(self, small: list[tuple[Digest, bytes]]) -> None:
        number, offsets = self._store.appender.append(self, [data for _, data in small])
        with self._mutex:
            for (digest, data), offset in zip(small, offsets, strict=True):
                self._rows.setdefault(digest, (number, offset, len(data)))
            full = len(self._rows) >= _ROWS_AT_ONCE
        if full:
            self._flush(())

    def open_write(self) -> LocalWriter:
        return LocalWriter(self._store, self.keep_large, self._put_small)

    def _put_small(self, digest: Digest, data: bytes) -> None:
        self.put_blobs([(digest, data)])

    def keep_large(self, digest: Digest, path: Path, size: int) -> None:
        """Take over the finished temporary file at ``path``, or delete it when the blob is there already."""
        known = not self.missing([digest])
        with self._mutex:
            if not known and digest not in self._large:
                self._large[digest] = (path, size)
                return
        path.unlink()

    def put_directory(self, directory: Directory) -> Digest:
        data = encode_directory(directory)
        digest = Digest.of(data)
        with self._mutex:
            self._directories[digest] = data
        return digest

    def commit(self, *roots: Node) -> None:
        if self._gc_lock is None:
            raise ValueError("commit of a finished batch")
        self._flush(roots)
        self._release()

    def abort(self) -> None:
        if self._gc_lock is None:
            return
        with self._mutex:
            for path, _ in self._large.values():
                path.unlink(missing_ok=True)
            self._large.clear()
        self._store.appender.forget(self)
        self._release()

    def _release(self) -> None:
        lock, self._gc_lock = self._gc_lock, None
        if lock is not None:
            lock.release()

    def _flush(self, roots: Sequence[Node]) -> None:
        """Write down everything so far, in one transaction."""
        store = self._store
        with self._mutex:
            ends: dict[int, int] = {}
            for number, offset, size in self._rows.values():
                ends[number] = max(ends.get(number, 0), offset + size)
            moved: list[Path] = []
            try:
                with store.index.transaction() as db:
                    db.executemany(
                        "INSERT OR IGNORE INTO blobs VALUES (?, ?, ?, ?)",
                        # In the order of the key, so that the tree grows at one place at a time.
                        [(digest, *place) for digest, place in sorted(self._rows.items())],
                    )
                    for number, end in ends.items():
                        db.execute(
                            "UPDATE packs SET length = max(length, ?), boot = ? WHERE number = ?",
                            (end, store.boot, number),
                        )
                    for digest, (path, size) in self._large.items():
                        # Inside the write transaction: no other process moves the same blob meanwhile.
                        cursor = db.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?, 0, ?)", (digest, OWN_FILE, size))
                        if cursor.rowcount:
                            db.execute("INSERT OR REPLACE INTO unsynced VALUES (?, ?)", (digest, store.boot))
                            moved.append(_move(path, store.layout.blob(digest)))
                    db.executemany("INSERT OR IGNORE INTO directories VALUES (?, ?)", self._directories.items())
                    if roots:
                        name = store.lease().name
                        held = [(name, encode_node(b"", root)) for root in roots]
                        db.executemany("INSERT OR IGNORE INTO held VALUES (?, ?)", held)
            except OSError as error:
                _unlink(moved)
                raise store_error(error, store.layout.root) from error
            except BaseException:
                _unlink(moved)
                raise
            _unlink([path for path, _ in self._large.values()])  # another process was first
            wrote = bool(self._rows or self._large)
            self._rows.clear()
            self._large.clear()
            self._directories.clear()
            store.appender.committed(self)
        if wrote:
            store.flusher.poke()


def _move(source: Path, target: Path) -> Path:
    try:
        os.rename(source, target)
    except FileNotFoundError:
        target.parent.mkdir(exist_ok=True)
        os.rename(source, target)
    return target


def _unlink(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


class LocalWriter(ClosingWriter):
    """Collects a blob in memory, from :data:`LARGE` bytes on in a temporary file; runs of zeros become holes."""

    def __init__(
        self,
        store: LocalStore,
        keep_large: Callable[[Digest, Path, int], None],
        keep_small: Callable[[Digest, bytes], None],
    ) -> None:
        self._store = store
        self._keep_large = keep_large
        self._keep_small = keep_small
        self._hasher = blake3()
        self._buffer = bytearray()
        self._fd = -1
        self._path: Path | None = None
        self._size = 0
        self._digest: Digest | None = None
        self._helper: ThreadPoolExecutor | None = None
        self._written: Future[None] | None = None
        self._open = True

    def write(self, data: bytes | memoryview) -> int:
        length = self.lend(data)
        self._await_written()  # the caller may change its buffer when this returns
        return length

    def lend(self, data: bytes | memoryview) -> int:
        if not self._open:
            raise ValueError("write to a closed blob writer")
        length = len(data)
        if self._fd < 0 and self._size + length < LARGE:
            self._buffer += data
        else:
            if self._fd < 0:
                self._start_file()
            self._write_out_beside(data)
        # Not with blake3's own threads: they wait by spinning, which on a busy machine costs seconds.
        self._hasher.update(data)
        self._size += length
        return length

    def _write_out_beside(self, data: bytes | memoryview) -> None:
        """Large pieces of large files are written by a helper while the caller hashes this one and reads the next."""
        self._await_written()
        if self._size < _BESIDE_FROM or len(data) < LARGE:
            self._write_out(data, self._size)
            return
        if self._helper is None:
            from concurrent.futures import ThreadPoolExecutor

            self._helper = ThreadPoolExecutor(1, "castore-blob")
        self._written = self._helper.submit(self._write_out, data, self._size)

    def _await_written(self) -> None:
        written, self._written = self._written, None
        if written is not None:
            written.result()

    def _start_file(self) -> None:
        self._path = self._store.new_temporary()
        with system_errors(self._path):
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            os.write(self._fd, self._buffer)
        self._buffer.clear()

    def _write_out(self, data: bytes | memoryview, position: int) -> None:
        assert self._path is not None
        with system_errors(self._path):
            if is_hole(data):
                return  # the file is stretched over it at close
            while data:
                written = os.pwrite(self._fd, data, position)
                position += written
                data = data[written:]

    def close(self) -> Digest:
        if self._digest is not None:
            return self._digest
        if not self._open:
            raise ValueError("close of an aborted blob writer")
        try:
            digest = Digest(self._hasher.digest())
            if self._path is None:
                self._keep_small(digest, bytes(self._buffer))
            else:
                self._await_written()
                with system_errors(self._path):
                    os.ftruncate(self._fd, self._size)
                    os.fchmod(self._fd, 0o444)
                self._close_file()
                self._keep_large(digest, self._path, self._size)
        except BaseException:
            self.abort()
            raise
        self._open = False
        self._digest = digest
        self._buffer.clear()
        return digest

    def abort(self) -> None:
        if self._digest is not None:
            return
        self._open = False
        self._buffer.clear()
        self._close_file()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _close_file(self) -> None:
        self._written = None  # of an aborted blob nobody asks any more
        if self._helper is not None:
            self._helper.shutdown()
            self._helper = None
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
