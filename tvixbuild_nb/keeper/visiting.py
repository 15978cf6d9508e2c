"""The visitor's side of a door: look at a container's processes, have a command executed inside."""

from __future__ import annotations

import json
import os
import select
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tvixbuild_nb.errors import HostRefused, InvalidValue, KeeperError, SetupFailed
from tvixbuild_nb.keeper.messages import MAX_MESSAGE, Message, connect_in, receive, send

NAME = "door"
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Left:
    """How a command inside ended: its status, or the signal; ``sent_away``: because the container was."""

    exit_code: int | None
    signal: int | None
    sent_away: bool


class NotStarted(SetupFailed):
    """The runtime could not execute a command inside; ``said``: it told so on the command's own error output, too."""

    def __init__(self, message: str, *, said: bool) -> None:
        super().__init__(message, stage="exec")
        self.said = said


class Visit:
    """One command inside a container. To be closed: a command that goes on then is ended."""

    def __init__(self, sock: socket.socket, terminal: int | None) -> None:
        self.terminal = terminal
        """The other side of its pseudo-terminal, whose descriptor is the caller's to close; None without one."""
        self._sock = sock
        self._left: Left | None = None
        self._lock = threading.Lock()

    def wait(self, timeout: float | None = None) -> Left | None:
        """How it ended, or None after ``timeout`` seconds; :class:`KeeperError` when the keeper died meanwhile."""
        with self._lock:
            if self._left is None:
                message = _next(self._sock, timeout)
                if message is None:
                    return None
                self._left = Left(message["exit_code"], message["signal"], message["sent_away"])
            return self._left

    def fileno(self) -> int:
        """Readable when it ended."""
        return self._sock.fileno()

    def interrupt(self, number: int) -> None:
        """Send the signal ``number`` to all that the command has started, but not to itself; from any thread."""
        try:
            send(self._sock, {"op": "interrupt", "signal": number})
        except OSError:
            return  # it has just ended

    def close(self) -> None:
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def look(directory: str) -> list[dict[str, Any]]:
    """The processes of the container whose door is in ``directory``, see :func:`..processes.processes`.

    :class:`HostRefused` when there is no door: the container is not there yet, or no more.
    """
    found = []
    with _knock(directory) as sock:
        _ask(sock, {"op": "look"}, ())
        while (message := _next(sock, _PATIENCE)) is not None and "process" in message:
            found.append(message["process"])
    return found


def enter(directory: str, args: Sequence[str], fds: Sequence[int] | None, *, give: bool = False) -> Visit:
    """Execute ``args`` inside, with the descriptors for input, output and errors; None: in a terminal of its own.

    ``give``: pipes among them were made for this command, and are given to the sandbox's user. Raises what
    :func:`look` raises, :class:`NotStarted` when the runtime could not execute it, :class:`InvalidValue` for
    arguments that are too long.
    """
    message = {"op": "enter", "args": list(args), "terminal": fds is None, "give": give}
    if len(json.dumps(message)) > MAX_MESSAGE:
        raise InvalidValue("the arguments are too long", path="command", hint="put them into a file of the sandbox")
    sock = _knock(directory)
    try:
        _ask(sock, message, fds or ())
        heard = _receive(sock, None)
        assert heard is not None
        answer, received = heard
        if answer["event"] == "refused":
            raise NotStarted(answer["error"], said=answer["said"])
    except BaseException:
        sock.close()
        raise
    return Visit(sock, received[0] if received else None)


def is_open(directory: str) -> bool:
    """Whether there is a door in ``directory``."""
    return os.path.exists(os.path.join(directory, NAME))


def _knock(directory: str) -> socket.socket:
    try:
        return connect_in(directory, NAME)
    except OSError as error:
        raise HostRefused(
            f"there is no way into its sandbox: {error.strerror}",
            path=directory,
            hint="it is there from the start of the command until its end, in builds of this host (oci:)",
        ) from error


def _ask(sock: socket.socket, message: Message, fds: Sequence[int]) -> None:
    try:
        send(sock, message, fds)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise KeeperError("nobody is let into the sandbox any more", hint="its run has just ended") from error


def _next(sock: socket.socket, timeout: float | None) -> Message | None:
    heard = _receive(sock, timeout)
    return None if heard is None else heard[0]


def _receive(sock: socket.socket, timeout: float | None) -> tuple[Message, list[int]] | None:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    if not poll.poll(None if timeout is None else timeout * 1000):
        return None
    try:
        received = receive(sock)
    except ConnectionResetError:
        received = None
    if received is None:
        raise KeeperError("the sandbox was taken away", hint="its run has ended, or its keeper died")
    return received
