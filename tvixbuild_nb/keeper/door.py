"""The way into a container that is there: whoever may read its run's record may connect, look and enter."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import time
import traceback
from dataclasses import dataclass

from tvixbuild_nb.keeper import linux
from tvixbuild_nb.keeper.guest import Guest
from tvixbuild_nb.keeper.inspect import children_of
from tvixbuild_nb.keeper.messages import Message, listen_in, receive
from tvixbuild_nb.keeper.visiting import NAME

# Seconds for guests to tell their visitors how it ended.
_FAREWELL = 1.0
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class _Inside:
    """A forked guest: its process, and whether it brings somebody into the container or only looks."""

    pid: int
    enters: bool


class Door:
    """Listens as ``door`` in the run's record; each visitor has a process of its own once the container is there.

    Who comes before that waits, and who comes too late finds no door. Visitors are processes of the same account, in
    whatever process: the record's directory lets nobody else through, and the kernel tells who connected. ``plan`` is
    the build's. OSError when it cannot be made.
    """

    def __init__(self, plan: Message) -> None:
        self._plan = plan
        self._init: int | None = None
        self._listener: socket.socket | None = listen_in(plan["door"], NAME)
        self._silent: dict[int, socket.socket] = {}
        self._guests: dict[int, _Inside] = {}

    def open(self, init: int) -> None:
        """The container is there, with ``init`` as its first process."""
        self._init = init

    @property
    def occupied(self) -> bool:
        """Whether somebody is inside."""
        return any(guest.enters for guest in self._guests.values())

    def register(self, poll: select.poll) -> None:
        """Have ``poll`` wait for visitors, for what they want, and for their ends."""
        if self._listener is not None and self._init is not None:
            poll.register(self._listener, select.POLLIN)
        for fd in (*self._silent, *self._guests):
            poll.register(fd, select.POLLIN)

    def take(self, ready: dict[int, int]) -> None:
        """See to whoever is in ``ready``."""
        if self._listener is not None and self._listener.fileno() in ready:
            visitor, _ = self._listener.accept()
            self._silent[visitor.fileno()] = visitor
            if not _is_ours(visitor):
                self._dismiss(visitor)
        for fd in self._silent.keys() & ready.keys():
            self._hear(self._silent[fd])
        for pidfd in self._guests.keys() & ready.keys():
            self._bury(pidfd)

    def close(self) -> None:
        """Nobody comes in any more, and nobody stays; idempotent."""
        if self._listener is None:
            return
        self._listener.close()
        self._listener = None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self._plan["door"], NAME))
        for visitor in list(self._silent.values()):
            self._dismiss(visitor)
        for guest in self._guests.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(guest.pid, signal.SIGTERM)
        until = time.monotonic() + _FAREWELL
        for pidfd, guest in list(self._guests.items()):
            if not linux.has_ended(pidfd, max(0.0, until - time.monotonic())):
                os.kill(guest.pid, signal.SIGKILL)
            self._bury(pidfd)

    def _hear(self, visitor: socket.socket) -> None:
        try:
            received = receive(visitor)
        except OSError:
            received = None
        if received is not None:
            message, fds = received
            self._fork(message, fds, visitor)
            for fd in fds:
                os.close(fd)
        self._dismiss(visitor)

    def _dismiss(self, visitor: socket.socket) -> None:
        del self._silent[visitor.fileno()]
        visitor.close()

    def _fork(self, message: Message, fds: list[int], visitor: socket.socket) -> None:
        assert self._init is not None, "nobody is heard before"
        pid = os.fork()
        if pid:
            self._guests[os.pidfd_open(pid)] = _Inside(pid, message.get("op") == "enter")
            return
        status = 1
        try:
            linux.set_parent_death_signal(signal.SIGKILL)
            # The end of what the supervisor has open must be its end here, too.
            _close_all_but(visitor.fileno(), *fds)
            Guest(self._plan, self._init, visitor).live(message, fds)
            status = 0
        except BaseException:
            # The last thing this process does: its words reach the owner through the keeper's stderr.
            traceback.print_exc()
        finally:
            os._exit(status)

    def _bury(self, pidfd: int) -> None:
        """Wait for a guest's end; whom it brought in and did not see out again is ours to end."""
        guest = self._guests.pop(pidfd)
        os.waitpid(guest.pid, 0)
        os.close(pidfd)
        known = {self._init, *(other.pid for other in self._guests.values())}
        for pid in [pid for pid in children_of(os.getpid()) if pid not in known]:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _close_all_but(*kept: int) -> None:
    for fd in [int(name) for name in os.listdir("/proc/self/fd")]:
        if fd > 2 and fd not in kept:
            with contextlib.suppress(OSError):  # the one that the list was read through
                os.close(fd)


def _is_ours(visitor: socket.socket) -> bool:
    """Whether who connected is of this account, or root."""
    _, uid, _ = _CREDENTIALS.unpack(visitor.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return uid in (0, os.geteuid())
