"""The socket between a build's supervisor and the process that wants the build."""

from __future__ import annotations

import socket

from tvixbuild_nb.keeper.messages import Message, receive, send

# Reasons to end a build for which its processes are asked first, and have the grace to end by themselves.
GRACEFUL = ("cancelled", "timed-out", "silent")


class OwnerLine:
    """What the owner is told, and what it said.

    ``complete``: it has filled the bundle. ``stopped``: why the build is to end (cancelled, owner-gone; a supervisor
    adds timed-out, silent and view-died), None while it may go on; the first reason stays.
    """

    def __init__(self, line: socket.socket) -> None:
        self.complete = False
        self.stopped: str | None = None
        self._line = line

    def fileno(self) -> int:
        """To wait for the owner's next word; readable when it is gone, too."""
        return self._line.fileno()

    def stop(self, reason: str) -> None:
        """The build is to end, for ``reason`` unless there was one before."""
        self.stopped = self.stopped or reason

    def listen(self) -> None:
        """Take the next word: go, cancel, or that nobody is there any more."""
        heard = self.hear()
        if heard is None:
            self.stop("owner-gone")
        elif heard["op"] == "go":
            self.complete = True
        elif heard["op"] == "cancel":
            self.stop("cancelled")

    def hear(self) -> Message | None:
        """The owner's next word; None when it has closed its end or is dead."""
        try:
            received = receive(self._line)
        except OSError:
            return None
        return None if received is None else received[0]

    def tell(self, message: Message) -> None:
        """Send ``message``; when nobody is there to hear it, the build is to end."""
        try:
            send(self._line, message)
        except (BrokenPipeError, ConnectionResetError):
            self.stop("owner-gone")
