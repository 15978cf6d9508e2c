"""Where a build's output comes out: two pipes of ours, or one pseudo-terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import time

from tvixbuild_nb.keeper.log import STREAMS, LogWriter
from tvixbuild_nb.keeper.messages import listen_in, receive_fd

_CHUNK = 1 << 18
_F_SETPIPE_SZ = 1031


class Output:
    """Descriptors for the runtime and the log behind them.

    The container writes straight into our pipes (no copying runtime between, so the order of the two
    streams survives as well as the kernel allows). ``user`` is the (uid, gid), as seen from here, that
    may reopen them through /dev/stdout.
    """

    def __init__(self, terminal: bool, bundle: str, user: list[int] | None, log: LogWriter) -> None:
        self._log = log
        self._sources: dict[int, int] = {}
        self._theirs: list[int] = []
        self._listener: socket.socket | None = None
        self.options: list[str] = []
        self.stdout, self.stderr = (self._pipe(stream, user) for stream in (0, 1))
        if terminal:
            # The runtime is started inside the bundle and takes the bare name.
            name = "console.sock"
            self._listener = listen_in(bundle, name, socket.SOCK_STREAM)
            self.options = ["--console-socket", name]

    def _pipe(self, stream: int, user: list[int] | None) -> int:
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        with contextlib.suppress(PermissionError):
            # Beyond the user's share of pipe memory the kernel keeps its default of 64 KiB.
            fcntl.fcntl(ours, _F_SETPIPE_SZ, 1 << 20)
        if user is not None:
            with contextlib.suppress(PermissionError):
                os.fchown(theirs, user[0], user[1])
        os.set_blocking(ours, False)
        self._sources[ours] = stream
        self._theirs.append(theirs)
        return theirs

    def register(self, poll: select.poll) -> None:
        """Have ``poll`` wait for output too."""
        for fd in self._sources:
            poll.register(fd, select.POLLIN)
        if self._listener is not None:
            poll.register(self._listener, select.POLLIN)

    def take(self, ready: dict[int, int]) -> bool:
        """Log what is there on the descriptors in ``ready``; whether there was anything."""
        found = False
        if self._listener is not None and self._listener.fileno() in ready:
            self._accept()
            found = True
        for fd in [fd for fd in self._sources if fd in ready]:
            try:
                data = os.read(fd, _CHUNK)
            except BlockingIOError:
                continue
            except OSError:
                # A pseudo-terminal whose other side is closed says EIO, where a pipe says end-of-file.
                data = b""
            if data:
                self._log.write(self._sources[fd], data, time.time())
                found = True
            else:
                del self._sources[fd]
                os.close(fd)
        return found

    def _accept(self) -> None:
        assert self._listener is not None
        connection, _ = self._listener.accept()
        with connection:
            terminal = receive_fd(connection)
        self._listener.close()
        self._listener = None
        if terminal is not None:
            os.set_blocking(terminal, False)
            self._sources[terminal] = STREAMS.index("terminal")

    def close_theirs(self) -> None:
        """Close the ends that the container has, so that its end is the end of the output."""
        for fd in self._theirs:
            os.close(fd)
        self._theirs = []

    def drain(self, until: float) -> None:
        """Log what is still in the pipes, until their end or the (monotonic) time ``until``."""
        self.close_theirs()
        while self._sources and time.monotonic() < until:
            poll = select.poll()
            self.register(poll)
            self.take(dict(poll.poll(max(0.0, until - time.monotonic()) * 1000)))

    def close(self) -> None:
        self.close_theirs()
        for fd in self._sources:
            os.close(fd)
        self._sources = {}
        if self._listener is not None:
            self._listener.close()
            self._listener = None
