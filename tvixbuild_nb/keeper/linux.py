"""What the keeper asks of the kernel about processes, and the few system calls that Python 3.11 does not offer."""

from __future__ import annotations

import ctypes
import os
import select

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
CLONE_NEWUSER = 0x10000000

MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_SLAVE = 0x80000
MNT_DETACH = 0x2

PF_FORKNOEXEC = 0x40

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def unshare(flags: int) -> None:
    """unshare(2); OSError names the call."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def mount(source: str, target: str, kind: str | None, flags: int = 0, data: str | None = None) -> None:
    """mount(2); OSError names the target."""
    _check(
        _libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            None if kind is None else kind.encode(),
            ctypes.c_ulong(flags),
            None if data is None else data.encode(),
        ),
        f"mount {target}",
    )


def umount(target: str, flags: int = MNT_DETACH) -> None:
    """umount2(2); detaching by default, so that a busy mount goes when its last user goes."""
    _check(_libc.umount2(os.fsencode(target), ctypes.c_int(flags)), f"umount {target}")


def call_process(name: str) -> None:
    """What ps shows for this process; at most 15 bytes."""
    with open("/proc/self/comm", "w", encoding="ascii") as file:
        file.write(name)


def set_parent_death_signal(number: int) -> None:
    """The kernel sends ``number`` to this process when the thread that forked it ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(number), 0, 0, 0), "prctl PDEATHSIG")


def become_subreaper() -> None:
    """Orphaned descendants become children of this process, so that it can wait for them."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0), "prctl CHILD_SUBREAPER")


def never_executed(pid: int) -> bool:
    """Whether ``pid`` (a zombie too) never got as far as its execve.

    The kernel's own flag for "forked but did not exec" stands in field 9 of /proc/PID/stat and is
    readable until the process is reaped. It tells a sandbox whose command could not be started
    from a command that failed, whatever either of them printed.
    """
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return bool(int(fields[6]) & PF_FORKNOEXEC)


def is_child(pid: int | None) -> bool:
    """Whether ``pid`` is a child of this process, ended or not."""
    if pid is None:
        return False
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def has_ended(pidfd: int, wait: float = 0) -> bool:
    """Whether the process of ``pidfd`` has ended, or does within ``wait`` seconds."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(wait * 1000))
