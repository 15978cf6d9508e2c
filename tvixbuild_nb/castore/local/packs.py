"""Packs: append-only files of many small blobs, each with one process at a time that appends."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

from tvixbuild_nb.castore.local.index import Index
from tvixbuild_nb.castore.local.layout import PACK_LIMIT, Layout, store_error
from tvixbuild_nb.castore.local.locks import FileLock

_BUFFERS_AT_ONCE = 1024  # IOV_MAX


class PackAppender:
    """Appends blobs to a pack this process has locked; safe for several threads.

    What a batch has appended counts once the index says so: :meth:`forget` gives back the space
    behind the last byte that anybody still needs.
    """

    def __init__(self, layout: Layout, index: Index, boot: str) -> None:
        self._layout = layout
        self._index = index
        self._boot = boot
        self._mutex = threading.RLock()
        self._lock: FileLock | None = None
        self._number = 0
        self._end = 0
        self._uncommitted: dict[object, int] = {}  # batch -> end of what it appended to the open pack

    def append(self, batch: object, blobs: Sequence[bytes]) -> tuple[int, list[int]]:
        """Write ``blobs`` on end: (pack number, their offsets); :class:`StoreError` when the disk is full."""
        with self._mutex:
            fd = self._open()
            offsets: list[int] = []
            position = start = self._end
            for blob in blobs:
                offsets.append(position)
                position += len(blob)
            try:
                write_all(fd, blobs, start)
            except OSError as error:
                os.ftruncate(fd, start)
                raise store_error(error, self._layout.pack(self._number)) from error
            self._end = self._uncommitted[batch] = position
            return self._number, offsets

    def committed(self, batch: object) -> None:
        """What ``batch`` appended is in the index now."""
        with self._mutex:
            self._uncommitted.pop(batch, None)

    def forget(self, batch: object) -> None:
        """Nothing of what ``batch`` appended is needed: cut it off unless somebody appended behind it."""
        with self._mutex:
            if self._uncommitted.pop(batch, None) is None or self._lock is None:
                return
            needed = max([self._committed_length() or 0, *self._uncommitted.values()])
            if needed < self._end:
                os.ftruncate(self._lock.fd, needed)
                self._end = needed

    def close(self) -> None:
        with self._mutex:
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def _open(self) -> int:
        if self._lock is not None and not self._uncommitted and self._is_gone_or_full():
            self.close()
        if self._lock is None and not self._adopt():
            with self._index.transaction() as db:
                cursor = db.execute("INSERT INTO packs (boot, synced, length) VALUES (?, 0, 0)", (self._boot,))
                self._number, self._end = int(cursor.lastrowid or 0), 0
                path = self._layout.pack(self._number)
                try:
                    self._lock = FileLock(path, create=True)
                except OSError as error:
                    raise store_error(error, path) from error
        assert self._lock is not None
        return self._lock.fd

    def _is_gone_or_full(self) -> bool:
        # Collected by another process since the last batch, or large enough.
        known = self._index.query("SELECT 1 FROM packs WHERE number = ?", (self._number,))
        return not known or self._end >= PACK_LIMIT

    def _adopt(self) -> bool:
        """Take over a pack that has room and whose last owner is gone; otherwise every process would leave one."""
        rows = self._index.query(
            "SELECT number FROM packs WHERE length < ? ORDER BY number DESC LIMIT 8", (PACK_LIMIT,)
        )
        for (number,) in rows:
            assert isinstance(number, int)
            try:
                lock = FileLock(self._layout.pack(number), wait=False)
            except (BlockingIOError, FileNotFoundError):
                continue
            self._number, self._lock = number, lock
            length = self._committed_length()
            if length is None or os.fstat(lock.fd).st_size < length:
                self.close()  # collected just now, or damaged: leave it alone
                continue
            # Bytes behind the committed end are a killed process's.
            os.ftruncate(lock.fd, length)
            self._end = length
            return True
        return False

    def _committed_length(self) -> int | None:
        rows = self._index.query("SELECT length FROM packs WHERE number = ?", (self._number,))
        length = rows[0][0] if rows else None
        assert isinstance(length, int | None)
        return length


def write_all(fd: int, blobs: Sequence[bytes], position: int) -> None:
    """Write all of ``blobs`` from ``position`` on, however little the system takes at a time."""
    for first in range(0, len(blobs), _BUFFERS_AT_ONCE):
        part: list[bytes] = list(blobs[first : first + _BUFFERS_AT_ONCE])
        while part:
            written = os.pwritev(fd, part, position)
            position += written
            while part and written >= len(part[0]):
                written -= len(part.pop(0))
            if written:
                part[0] = part[0][written:]


class PackReader:
    """Positional reads from packs, each opened once; safe for several threads."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._fds: dict[int, int] = {}
        self._mutex = threading.Lock()

    def pread(self, number: int, offset: int, size: int) -> bytes:
        """The bytes there, fewer at the pack's end; :class:`FileNotFoundError` when the pack is gone."""
        fd = self._fds.get(number)
        if fd is None:
            with self._mutex:
                fd = self._fds.get(number)
                if fd is None:
                    fd = self._fds[number] = os.open(self._layout.pack(number), os.O_RDONLY | os.O_CLOEXEC)
        return os.pread(fd, size, offset)

    def close(self) -> None:
        with self._mutex:
            while self._fds:
                os.close(self._fds.popitem()[1])
