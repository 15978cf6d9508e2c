"""The kernel's FUSE protocol as bytes: requests taken apart, answers put together; it does nothing else.

Numbers and layouts are those of ``<linux/fuse.h>`` (version 7, native byte order); names are its
names without ``FUSE_``. An answer is a header (:func:`header`) and what the functions here return.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Sequence
from enum import IntEnum, IntFlag
from struct import Struct
from typing import NamedTuple

MAJOR = 7
# What is used of the protocol is as old as this (Linux 5.2).
MINOR = 31

# Bytes that a read of the device has to offer: FUSE_MIN_READ_BUFFER, for a request with its longest name.
READ_BUFFER = 8192
HEADER_SIZE = 40
MAX_WRITE = 4096

# Seconds. Contents never change, so the kernel may keep what it was told for ever.
FOREVER = 100_000_000


class Opcode(IntEnum):
    """What a request asks for; those of a read-only file system."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    READLINK = 5
    OPEN = 14
    READ = 15
    STATFS = 17
    RELEASE = 18
    GETXATTR = 22
    LISTXATTR = 23
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    ACCESS = 34
    INTERRUPT = 36
    DESTROY = 38
    BATCH_FORGET = 42
    READDIRPLUS = 44
    LSEEK = 46


class InitFlag(IntFlag):
    """What both sides agree on at the beginning."""

    ASYNC_READ = 1 << 0
    DO_READDIRPLUS = 1 << 13
    PARALLEL_DIROPS = 1 << 18
    MAX_PAGES = 1 << 22
    CACHE_SYMLINKS = 1 << 23


class OpenFlag(IntFlag):
    """Answers to OPEN: the page cache survives the open; closing asks for nothing."""

    KEEP_CACHE = 1 << 1
    NOFLUSH = 1 << 5


_ATTR = "6Q10I"
_IN_HEADER = Struct("=IIQQIIIHH")
_OUT_HEADER = Struct("=IiQ")
_ENTRY_OUT = Struct("=4Q2I" + _ATTR)
_ATTR_OUT = Struct("=Q2I" + _ATTR)
_DIRENT = Struct("=QQII")
_READ_IN = Struct("=8xQI")
_INIT_IN = Struct("=4I")
_INIT_OUT = Struct("=4IHHIIHHI28x")
_OPEN_OUT = Struct("=QII")
_STATFS_OUT = Struct("=5Q10I")
_GETXATTR_IN = Struct("=II")
_GETXATTR_OUT = Struct("=II")

# Length, opcode, unique number and inode number, all that is needed of a request's header.
REQUEST = Struct("=IIQQ")


class Init(NamedTuple):
    """What the kernel offers: its version, the most it reads ahead in bytes, its flags."""

    major: int
    minor: int
    max_readahead: int
    flags: int


def init_request(message: bytes) -> Init:
    return Init(*_INIT_IN.unpack_from(message, HEADER_SIZE))


def name_request(message: bytes) -> bytes:
    """The name that a LOOKUP asks for."""
    return message[HEADER_SIZE : message.index(b"\0", HEADER_SIZE)]


def read_request(message: bytes) -> tuple[int, int]:
    """What a READ, READDIR or READDIRPLUS asks for: the first byte, or entry, and the room for the answer in bytes."""
    offset, size = _READ_IN.unpack_from(message, HEADER_SIZE)
    return offset, size


def xattr_request(message: bytes) -> tuple[int, bytes]:
    """The room offered in bytes, and the name that a GETXATTR asks for (LISTXATTR: none)."""
    size, _ = _GETXATTR_IN.unpack_from(message, HEADER_SIZE)
    return size, message[HEADER_SIZE + _GETXATTR_IN.size :].partition(b"\0")[0]


def header(unique: int, length: int, error: int = 0) -> bytes:
    """The header of an answer that ``length`` bytes follow; ``error`` is an errno, or 0."""
    return _OUT_HEADER.pack(_OUT_HEADER.size + length, -error, unique)


def init(offered: Init, flags: InitFlag, *, max_pages: int) -> bytes:
    """The answer to INIT: of ``flags`` what the kernel offers; a request reads up to ``max_pages`` pages."""
    return _INIT_OUT.pack(
        MAJOR, MINOR, offered.max_readahead, flags & offered.flags, 16, 12, MAX_WRITE, 1, max_pages, 0, 0
    )


def entry(ino: int, mode: int, size: int, time: int) -> bytes:
    """The answer to a LOOKUP that found something: it and its attributes may be kept for ever."""
    return _ENTRY_OUT.pack(
        ino, 0, FOREVER, FOREVER, 0, 0,
        ino, size, (size + 511) >> 9, time, time, time, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0,
    )  # fmt: skip


def no_entry() -> bytes:
    """The answer to a LOOKUP that found nothing, and never will."""
    return _ENTRY_OUT.pack(0, 0, FOREVER, *[0] * 19)


def attributes(ino: int, mode: int, size: int, time: int) -> bytes:
    """The answer to GETATTR."""
    return _ATTR_OUT.pack(
        FOREVER, 0, 0,
        ino, size, (size + 511) >> 9, time, time, time, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0,
    )  # fmt: skip


def opened(flags: OpenFlag) -> bytes:
    """The answer to OPEN."""
    return _OPEN_OUT.pack(0, flags, 0)


def statfs() -> bytes:
    """The answer to STATFS: nothing is free, names have up to 255 bytes."""
    return _STATFS_OUT.pack(0, 0, 0, 0, 0, 4096, 255, 4096, *[0] * 7)


def xattr_size(size: int) -> bytes:
    """The answer to GETXATTR and LISTXATTR when no room was offered."""
    return _GETXATTR_OUT.pack(size, 0)


def directory_entries(rows: Sequence[tuple[bytes, int, int]], offset: int, room: int) -> bytes:
    """The answer to READDIR: rows (name, inode number, mode) from number ``offset`` on, as ``room`` bytes hold."""
    parts: list[bytes] = []
    for number in range(offset, len(rows)):
        name, ino, mode = rows[number]
        record = _dirent(name, ino, mode, number + 1)
        room -= len(record)
        if room < 0:
            break
        parts.append(record)
    return b"".join(parts)


def directory_entries_plus(
    rows: Sequence[tuple[bytes, int, int]],
    attributes_of: Callable[[int], tuple[int, int, int]],
    time: int,
    offset: int,
    room: int,
) -> bytes:
    """The answer to READDIRPLUS: as :func:`directory_entries`, each row with the :func:`entry` of a LOOKUP.

    ``attributes_of`` gives an inode's number, mode and size. The kernel wants no entry of ``.`` and ``..``.
    """
    parts: list[bytes] = []
    for number in range(offset, len(rows)):
        name, ino, mode = rows[number]
        record = _dirent(name, ino, mode, number + 1)
        room -= _ENTRY_OUT.size + len(record)
        if room < 0:
            break
        parts.append(_NOTHING if name in (b".", b"..") else entry(*attributes_of(ino), time))
        parts.append(record)
    return b"".join(parts)


def _dirent(name: bytes, ino: int, mode: int, next_offset: int) -> bytes:
    length = len(name)
    return _DIRENT.pack(ino, next_offset, length, stat.S_IFMT(mode) >> 12) + name + _PADDING[length & 7]


_PADDING = tuple(bytes(-length % 8) for length in range(8))
_NOTHING = bytes(_ENTRY_OUT.size)
