"""The few system calls of Linux that the standard library lacks."""

from __future__ import annotations

import ctypes
import functools
import os
import signal

MNT_DETACH = 2

FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6
MOUNT_ATTR_RDONLY = 1
MOUNT_ATTR_NOSUID = 2
MOUNT_ATTR_NODEV = 4

# The same on every architecture: system calls since Linux 5.2.
_MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT = 429, 430, 431, 432
_FSOPEN_CLOEXEC = _FSMOUNT_CLOEXEC = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
_AT_FDCWD = -100
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def call_process(name: str) -> None:
    """What ps shows for this process; at most 15 bytes."""
    _libc().prctl(_PR_SET_NAME, name.encode("ascii"), 0, 0, 0)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent (the thread that forked it) ends."""
    _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def fsopen(kind: str) -> int:
    """fsopen(2): a context in which a mount of the file system ``kind`` is described."""
    return _call(_FSOPEN, kind.encode(), _FSOPEN_CLOEXEC, what=f"fsopen {kind}")


def fsconfig(context: int, command: int, key: str | None = None, value: str | None = None) -> None:
    """fsconfig(2): one of the ``FSCONFIG_`` commands."""
    encoded = [None if text is None else text.encode() for text in (key, value)]
    _call(_FSCONFIG, context, command, *encoded, 0, what=f"mount: {key or 'create'}")


def fsmount(context: int, attributes: int) -> int:
    """fsmount(2): the mount, not yet at any place; ``attributes`` are ``MOUNT_ATTR_`` flags."""
    return _call(_FSMOUNT, context, _FSMOUNT_CLOEXEC, attributes, what="fsmount")


def move_mount(mount: int, target: str) -> None:
    """move_mount(2): put what :func:`fsmount` made at ``target``; ``OSError`` names the target."""
    _call(_MOVE_MOUNT, mount, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH, what=target)


def _call(number: int, *arguments: int | bytes | None, what: str) -> int:
    """A system call that glibc has no function for everywhere; ``OSError`` says ``what`` failed."""
    result = _libc().syscall(number, *(ctypes.c_long(each) if isinstance(each, int) else each for each in arguments))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), what)
    return int(result)


def unmount(mountpoint: str, *, lazy: bool = False) -> None:
    """Undo a FUSE mount, with fusermount's help where this user may not; ``OSError`` when it stays.

    ``lazy`` takes it out of the tree at once, even while something is still looking in.
    """
    if _libc().umount2(os.fsencode(mountpoint), MNT_DETACH if lazy else 0) == 0:
        return
    number = ctypes.get_errno()
    if os.geteuid() != 0:
        for program in ("fusermount", "fusermount3"):
            arguments = [program, "-u", *(["-z"] if lazy else []), "--", mountpoint]
            try:
                child = os.posix_spawnp(program, arguments, dict(os.environ))
            except FileNotFoundError:
                continue
            if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
                return
    raise OSError(number, os.strerror(number), mountpoint)
