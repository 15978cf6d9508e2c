"""Holes of sparse files: found without reading them, and not written again.

Reading a hole fills the page cache with zeros, as many as the hole is long.
"""

from __future__ import annotations

import os

_BLOCK = 4096
_ZEROS = bytes(1 << 20)


def is_hole(data: bytes | memoryview) -> bool:
    """Whether ``data`` is so long a run of zeros that it need not be written."""
    size = len(data)
    if size < _BLOCK or data[0] != 0 or bytes(data[:_BLOCK]) != _ZEROS[:_BLOCK]:
        return False
    # Whole buffers are compared where they are: fresh memory for a copy costs more than comparing.
    whole = data.obj if isinstance(data, memoryview) else data
    same = whole if isinstance(whole, bytes | bytearray) and len(whole) == size else bytes(data)
    return same == (_ZEROS if size == len(_ZEROS) else bytes(size))


def zeros(size: int) -> memoryview:
    """``size`` zeros, without new memory up to 1 MiB."""
    return memoryview(_ZEROS if size <= len(_ZEROS) else bytes(size))[:size]


class Holes:
    """The holes of the open file ``fd`` as it is now; files without any cost one fstat."""

    __slots__ = ("_fd", "_next_data", "_size")

    def __init__(self, fd: int) -> None:
        status = os.fstat(fd)
        sparse = hasattr(os, "SEEK_DATA") and getattr(status, "st_blocks", 0) * 512 < status.st_size
        self._fd = fd
        self._size = status.st_size if sparse else 0
        self._next_data = 0

    def length_at(self, position: int) -> int:
        """Bytes from ``position`` on that are a hole, 0 where there is data or nobody can tell."""
        if position >= self._size:
            return 0
        if position >= self._next_data:
            try:
                self._next_data = os.lseek(self._fd, position, os.SEEK_DATA)
            except OSError:  # a hole to the end, or a file system that does not tell
                self._next_data = self._size if self._tells() else position
        return max(0, min(self._next_data, self._size) - position)

    def _tells(self) -> bool:
        try:
            os.lseek(self._fd, 0, os.SEEK_HOLE)
        except OSError:
            self._size = 0
            return False
        return True
