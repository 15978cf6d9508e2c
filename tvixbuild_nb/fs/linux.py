"""The few system calls of Linux that the standard library lacks."""

from __future__ import annotations

import ctypes
import os
import signal

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MNT_DETACH = 2
_PR_SET_PDEATHSIG = 1


def call_process(name: str) -> None:
    """What ps shows for this process; at most 15 bytes."""
    with open("/proc/self/comm", "w", encoding="ascii") as file:
        file.write(name)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent (the thread that forked it) ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def mount(source: str, target: str, kind: str, flags: int, data: str) -> None:
    """mount(2); ``OSError`` names the target."""
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), data.encode())
    if libc.mount(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def unmount(mountpoint: str, *, lazy: bool = False) -> None:
    """Undo a FUSE mount, with fusermount's help where this user may not; ``OSError`` when it stays.

    ``lazy`` takes it out of the tree at once, even while something is still looking in.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(os.fsencode(mountpoint), MNT_DETACH if lazy else 0) == 0:
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
