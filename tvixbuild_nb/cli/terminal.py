"""This process's terminal connected with one inside a sandbox: what is typed goes there, what is written comes here."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import sys
import termios
import tty

from tvixbuild_nb.keeper.visiting import Left, Visit

_CHUNK = 1 << 16
# Seconds between looks at the size of the window: a handler for SIGWINCH would belong to the whole process.
_LOOK = 0.25


def interact(visit: Visit) -> Left | None:
    """Until the command inside has ended; how it did. The terminal is left as it was found."""
    there = visit.terminal
    assert there is not None, "it was entered with a terminal"
    here, out = sys.stdin.fileno(), sys.stdout.fileno()
    sys.stdout.flush()
    before = termios.tcgetattr(here)
    try:
        # What was typed before is for who is inside.
        tty.setraw(here, termios.TCSADRAIN)
        _copy(here, out, there, visit)
    finally:
        termios.tcsetattr(here, termios.TCSADRAIN, before)
        os.close(there)
    return visit.wait()


def _copy(here: int, out: int, there: int, visit: Visit) -> None:
    size = b""
    sources = [here, there, visit.fileno()]
    while True:
        size = _pass_on_size(here, there, size)
        ready, _, _ = select.select(sources, [], [], _LOOK)
        if there in ready:
            data = _read(there)
            if not data:
                return  # nobody has it open any more
            _write(out, data)
        elif visit.fileno() in ready:
            return
        if here in ready:
            typed = _read(here)
            if typed:
                _write(there, typed)
            else:
                sources.remove(here)


def _pass_on_size(here: int, there: int, known: bytes) -> bytes:
    with contextlib.suppress(OSError):
        size = fcntl.ioctl(here, termios.TIOCGWINSZ, b"\0" * 8)
        if size != known:
            fcntl.ioctl(there, termios.TIOCSWINSZ, size)
        return size
    return known


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _CHUNK)
    except OSError:
        return b""  # a pseudo-terminal whose other side is closed says EIO


def _write(fd: int, data: bytes) -> None:
    with contextlib.suppress(OSError):  # the other side has just closed it
        while data:
            data = data[os.write(fd, data) :]
