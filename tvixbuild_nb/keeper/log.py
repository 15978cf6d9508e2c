"""A build's log on disk: one file of raw bytes, one index of who wrote which of them, and when.

The keeper writes, everybody else reads; a reader that stands still costs the build nothing.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, Self, TypeAlias

StreamName: TypeAlias = Literal["stdout", "stderr", "terminal"]
STREAMS: tuple[StreamName, ...] = ("stdout", "stderr", "terminal")

_RECORD = struct.Struct("<dBxxxIQ")


class IndexRecord(NamedTuple):
    """One chunk: seconds since the epoch, stream (index into STREAMS), first byte, length in bytes."""

    time: float
    stream: int
    offset: int
    length: int


class LogWriter:
    """Appends chunks; on a full disk it notes the reason in ``error`` and goes on taking bytes."""

    def __init__(self, log: str, index: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._log = self._index = -1
        self.size = 0
        self.lost = 0
        self.error: str | None = None
        try:
            self._log = os.open(log, flags, 0o644)
            self._index = os.open(index, flags, 0o644)
        except OSError as error:
            self.error = os.strerror(error.errno or 0)

    def write(self, stream: int, data: bytes, time: float) -> None:
        """Append ``data``; the index names it only after the bytes are there."""
        if self.error is not None:
            self.lost += len(data)
            return
        try:
            _write_all(self._log, data)
            _write_all(self._index, _RECORD.pack(time, stream, len(data), self.size))
            self.size += len(data)
        except OSError as error:
            self.error = os.strerror(error.errno or 0)
            self.lost += len(data)
            with contextlib.suppress(OSError):
                # What the index does not name is no part of the log; and the verdict needs room, too.
                os.ftruncate(self._log, self.size)

    def close(self) -> None:
        for fd in (self._log, self._index):
            if fd >= 0:
                os.close(fd)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


class LogReader:
    """Reads what is there of a log, finished or still growing.

    ``position`` is the number of index records already given out by :meth:`records`.
    """

    def __init__(self, log: Path, index: Path) -> None:
        self._log_path = log
        self._index_path = index
        self._log: int | None = None
        self._index: int | None = None
        self.position = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for fd in (self._log, self._index):
            if fd is not None:
                os.close(fd)
        self._log = self._index = None

    def __del__(self) -> None:
        # A view of a log that nobody shows any more is seldom closed by anybody.
        self.close()

    def _open(self) -> bool:
        if self._index is not None:
            return True
        try:
            index = os.open(self._index_path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        self._index = index
        self._log = os.open(self._log_path, os.O_RDONLY | os.O_CLOEXEC)
        return True

    def records(self, limit: int = 4096) -> Iterator[IndexRecord]:
        """The records that were not given out before, at most ``limit`` of them."""
        if not self._open():
            return
        assert self._index is not None
        data = os.pread(self._index, limit * _RECORD.size, self.position * _RECORD.size)
        for start in range(0, len(data) - len(data) % _RECORD.size, _RECORD.size):
            time, stream, length, offset = _RECORD.unpack_from(data, start)
            self.position += 1
            yield IndexRecord(time, stream, offset, length)

    def read(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes of the log from ``offset``."""
        if not self._open():
            return b""
        assert self._log is not None
        return os.pread(self._log, length, offset)

    def size(self) -> int:
        """Bytes of log that the index names so far."""
        if not self._open():
            return 0
        assert self._index is not None
        count = os.fstat(self._index).st_size // _RECORD.size
        if count == 0:
            return 0
        _, _, length, offset = _RECORD.unpack(os.pread(self._index, _RECORD.size, (count - 1) * _RECORD.size))
        return int(offset + length)
