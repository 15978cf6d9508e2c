"""Collecting garbage in a local store, while other processes wait with their writes and go on reading."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tvixbuild_nb.castore.closure import reachable
from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.local.index import OWN_FILE
from tvixbuild_nb.castore.local.layout import PACK_LIMIT, fsync_path, system_errors
from tvixbuild_nb.castore.local.locks import FileLock
from tvixbuild_nb.castore.local.packs import write_all
from tvixbuild_nb.castore.nodes import Node
from tvixbuild_nb.castore.services import GcReport
from tvixbuild_nb.errors import StoreError

if TYPE_CHECKING:
    from tvixbuild_nb.castore.local.store import LocalStore

# A pack with a larger share of garbage is rewritten; below it the copying costs more than it gives back.
_GARBAGE_SHARE = 0.25


def collect(store: LocalStore, roots: Iterable[Node], dry_run: bool = False) -> GcReport:
    """Delete what neither ``roots``, pins nor held nodes reach; waits for open batches of all processes to end.

    ``roots`` is read when nobody writes any more.  A directory that is missing below a root is passed over.
    ``dry_run`` only tells what would go.  :class:`StoreError` for a store opened read-only.
    """
    if store.read_only:
        raise StoreError("the store was opened read-only", path=store.layout.root)
    with system_errors(store.layout.root):
        lock = FileLock(store.layout.gc_lock)
        try:
            store.reap()
            return _collect(store, roots, dry_run)
        finally:
            lock.release()


def _collect(store: LocalStore, roots: Iterable[Node], dry_run: bool) -> GcReport:
    index = store.index
    directories, blobs = reachable([*roots, *store.pins().values(), *store.held()], store.directories.get)
    all_blobs = index.query("SELECT digest, pack, size FROM blobs")
    dead = [(digest, pack, size) for digest, pack, size in all_blobs if digest not in blobs]
    all_directories = index.query("SELECT digest FROM directories")
    dead_directories = [row for row in all_directories if row[0] not in directories]
    if not dry_run:
        _delete(store, dead, dead_directories)
    deleted_bytes = sum(size for _, _, size in dead if isinstance(size, int))
    total_bytes = sum(size for _, _, size in all_blobs if isinstance(size, int))
    return GcReport(
        len(dead), len(dead_directories), deleted_bytes,
        len(all_blobs) - len(dead), len(all_directories) - len(dead_directories), total_bytes - deleted_bytes,
    )  # fmt: skip


def _delete(
    store: LocalStore, dead: Sequence[tuple[object, object, object]], dead_directories: Sequence[tuple[object, ...]]
) -> None:
    index = store.index
    with index.transaction() as db:
        db.executemany("DELETE FROM directories WHERE digest = ?", dead_directories)
        db.executemany("DELETE FROM blobs WHERE digest = ?", [(digest,) for digest, _, _ in dead])
        db.executemany(
            "DELETE FROM unsynced WHERE digest = ?", [(digest,) for digest, pack, _ in dead if pack == OWN_FILE]
        )
    _delete_files(store)
    _rewrite_packs(store)
    index.checkpoint("TRUNCATE")


def _delete_files(store: LocalStore) -> None:
    """Delete the large blobs that the index does not know (any more)."""
    known = {
        bytes.hex(d) for (d,) in store.index.query("SELECT digest FROM blobs WHERE pack = 0") if isinstance(d, bytes)
    }
    for directory in os.scandir(store.layout.blobs):
        for entry in os.scandir(directory):
            if entry.name not in known:
                os.unlink(entry)


def _rewrite_packs(store: LocalStore) -> None:
    """Copy what lives in packs that are mostly garbage into fresh ones, and delete those that hold nothing."""
    store.appender.close()  # this process's own pack may be rewritten too
    rows = store.index.query(
        "SELECT number, (SELECT coalesce(sum(size), 0) FROM blobs WHERE pack = number) FROM packs ORDER BY number"
    )
    old: list[int] = []
    for number, live in rows:
        assert isinstance(number, int) and isinstance(live, int)
        try:
            held = os.stat(store.layout.pack(number)).st_size
        except FileNotFoundError:
            held = 0
        if live == 0 or held - live > held * _GARBAGE_SHARE:
            old.append(number)
    _move_blobs(store, old)
    with store.index.transaction() as db:
        db.executemany("DELETE FROM packs WHERE number = ?", [(number,) for number in old])
    known = {f"{number}.pack" for (number,) in store.index.query("SELECT number FROM packs")}
    for name in os.listdir(store.layout.packs):
        if name not in known:
            os.unlink(store.layout.packs / name)


def _move_blobs(store: LocalStore, old: list[int]) -> None:
    moved: list[tuple[int, int, bytes]] = []
    target, position, fd = 0, 0, -1
    try:
        for number in old:
            rows = store.index.query("SELECT digest, offset, size FROM blobs WHERE pack = ? ORDER BY offset", (number,))
            for digest, offset, size in rows:
                assert isinstance(digest, bytes) and isinstance(offset, int) and isinstance(size, int)
                if fd < 0 or position >= PACK_LIMIT:
                    _finish_pack(store, target, position, fd)
                    target, position = _new_pack(store), 0
                    fd = os.open(store.layout.pack(target), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
                data = store.packs.pread(number, offset, size)
                if len(data) != size:
                    continue  # cut off by damage: its row keeps the old place, and reading it tells
                write_all(fd, [data], position)
                moved.append((target, position, Digest(digest)))
                position += size
    except BaseException:
        if fd >= 0:
            os.close(fd)
        raise  # the index still names the old places; the next collection deletes the new files
    _finish_pack(store, target, position, fd)
    # Only now, with the copies on disk, may the old packs go.
    with store.index.transaction() as db:
        db.executemany("UPDATE blobs SET pack = ?, offset = ? WHERE digest = ?", moved)
    store.index.checkpoint("FULL")


def _new_pack(store: LocalStore) -> int:
    with store.index.transaction() as db:
        return int(
            db.execute("INSERT INTO packs (boot, synced, length) VALUES (?, 0, 0)", (store.boot,)).lastrowid or 0
        )


def _finish_pack(store: LocalStore, number: int, length: int, fd: int) -> None:
    if fd < 0:
        return
    os.fsync(fd)
    os.close(fd)
    fsync_path(store.layout.packs)
    with store.index.transaction() as db:
        db.execute("UPDATE packs SET length = ?, synced = ? WHERE number = ?", (length, length, number))
