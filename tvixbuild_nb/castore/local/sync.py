"""Surviving power cuts: bytes reach the disk behind everybody's back, and what did not is found by its digest."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from blake3 import blake3

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.local.index import OWN_FILE
from tvixbuild_nb.castore.local.layout import fsync_path, system_errors
from tvixbuild_nb.castore.local.locks import FileLock
from tvixbuild_nb.errors import StoreError

if TYPE_CHECKING:
    from tvixbuild_nb.castore.local.store import LocalStore

# How long nothing is written before what was written is synced: a row of builds pays once, at its end.
QUIET_SECONDS = 2.0
_CHUNK = 1 << 20


def sync(store: LocalStore) -> None:
    """Sync every pack and file that is not known to be on disk, whoever wrote it, then say so in the index."""
    index, layout = store.index, store.layout
    packs = index.query("SELECT number, length FROM packs WHERE synced < length")
    files = index.query("SELECT digest FROM unsynced")
    with system_errors(layout.root):
        for number, _ in packs:
            assert isinstance(number, int)
            fsync_path(layout.pack(number))
        directories = set()
        for (digest,) in files:
            assert isinstance(digest, bytes)
            path = layout.blob(Digest(digest))
            fsync_path(path)
            directories.add(path.parent)
        if packs or files:
            for directory in (*sorted(directories), layout.packs, layout.blobs, layout.root):
                fsync_path(directory)
    index.checkpoint()
    if packs or files:
        with index.transaction() as db:
            db.executemany(
                "UPDATE packs SET synced = max(synced, ?) WHERE number = ?",
                [(length, number) for number, length in packs],
            )
            db.executemany("DELETE FROM unsynced WHERE digest = ?", files)


class Flusher:
    """Calls :func:`sync` in a thread, some quiet seconds after the last :meth:`poke`."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._poked = False
        self._stopped = False

    def poke(self) -> None:
        """Something was written."""
        with self._condition:
            self._poked = True
            if self._thread is None and not self._stopped:
                self._thread = threading.Thread(target=self._run, name="castore-sync", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread; what is not synced yet is left to the next one who writes, or to the check after a reboot."""
        with self._condition:
            self._stopped = True
            self._condition.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._condition:
                while self._poked and not self._stopped:
                    self._poked = False
                    self._condition.wait(QUIET_SECONDS)
                if self._stopped:
                    return
            # When it fails, the digests are checked after the next boot, as if nobody had tried.
            with contextlib.suppress(StoreError):
                sync(self._store)
            with self._condition:
                if not self._poked:
                    self._thread = None
                    return


def forget_lost(store: LocalStore) -> None:
    """After another boot: check what was not synced by its digest, and drop from the index what did not survive.

    Directories need no check: SQLite keeps its own promise.
    """
    if not store.boot or not _doubtful(store):
        return
    lock = FileLock(store.layout.gc_lock)
    try:
        for number, synced in _doubtful(store):
            _check_pack(store, number, synced)
        for (digest,) in store.index.query("SELECT digest FROM unsynced WHERE boot != ?", (store.boot,)):
            assert isinstance(digest, bytes)
            _check_file(store, Digest(digest))
    finally:
        lock.release()


def _doubtful(store: LocalStore) -> list[tuple[int, int]]:
    """(pack, bytes known to be on disk) of the packs of another boot; pack 0 stands for files of their own."""
    packs = store.index.query("SELECT number, synced FROM packs WHERE synced < length AND boot != ?", (store.boot,))
    files = store.index.query("SELECT 0, 0 FROM unsynced WHERE boot != ? LIMIT 1", (store.boot,))
    return [(number, synced) for number, synced in packs + files if isinstance(number, int) and isinstance(synced, int)]


def _check_pack(store: LocalStore, number: int, synced: int) -> None:
    if number == OWN_FILE:
        return
    lost: list[tuple[object]] = []
    rows = store.index.query(
        "SELECT digest, offset, size FROM blobs WHERE pack = ? AND offset + size > ? ORDER BY offset", (number, synced)
    )
    for digest, offset, size in rows:
        assert isinstance(offset, int) and isinstance(size, int)
        try:
            data = store.packs.pread(number, offset, size)
        except OSError:
            data = b""
        if len(data) != size or blake3(data).digest() != digest:
            lost.append((digest,))
    fsync_path(store.layout.pack(number))
    with store.index.transaction() as db:
        db.executemany("DELETE FROM blobs WHERE digest = ?", lost)
        db.execute("UPDATE packs SET synced = length, boot = ? WHERE number = ?", (store.boot, number))


def _check_file(store: LocalStore, digest: Digest) -> None:
    path = store.layout.blob(digest)
    hasher = blake3()
    try:
        with open(path, "rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                hasher.update(chunk)
    except FileNotFoundError:
        pass
    survived = hasher.digest() == digest and fsync_path(path)
    with store.index.transaction() as db:
        if not survived:
            db.execute("DELETE FROM blobs WHERE digest = ? AND pack = ?", (digest, OWN_FILE))
            path.unlink(missing_ok=True)
        db.execute("DELETE FROM unsynced WHERE digest = ?", (digest,))
