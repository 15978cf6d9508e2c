"""Messages between owner, keeper and file-system server: one JSON object per SEQPACKET datagram.

A longer one (a build with a thousand inputs) lies in memory, whose descriptor comes with a datagram that says so.
"""

from __future__ import annotations

import array
import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

Message = dict[str, Any]

# Below the default socket buffer.
MAX_DATAGRAM = 180_000
MAX_MESSAGE = 64 << 20
# No JSON begins so.
_ELSEWHERE = b"\0"


def channel() -> tuple[socket.socket, socket.socket]:
    """Two connected ends that keep message borders and report end-of-file."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def listen_in(directory: str, name: str, kind: int = socket.SOCK_SEQPACKET) -> socket.socket:
    """A socket that listens as ``directory``/``name``, however long that is; OSError when it cannot be made."""
    listener = socket.socket(socket.AF_UNIX, kind)
    try:
        with _near(directory) as near:
            # It appears when somebody listens: who finds it may connect at once.
            listener.bind(f"{near}/.{name}")
            listener.listen()
            os.rename(f"{near}/.{name}", f"{near}/{name}")
    except OSError:
        listener.close()
        raise
    return listener


def connect_in(directory: str, name: str) -> socket.socket:
    """A connection with whoever listens as ``directory``/``name``; OSError when nobody does."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with _near(directory) as near:
            sock.connect(f"{near}/{name}")
    except OSError:
        sock.close()
        raise
    return sock


@contextmanager
def _near(directory: str) -> Iterator[str]:
    """The directory by a short path: the address of a unix socket has room for 107 bytes only."""
    fd = os.open(directory, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)


def send(sock: socket.socket, message: Message, fds: Sequence[int] = ()) -> None:
    """Send one message, with descriptors; OSError when the other end is gone or it is too long."""
    data = json.dumps(message).encode()
    if len(data) > MAX_MESSAGE:
        raise OSError(f"a keeper message of {len(data)} bytes is too long")
    if len(data) > MAX_DATAGRAM:
        memory = os.memfd_create("keeper-message", os.MFD_CLOEXEC)
        try:
            with open(memory, "wb", closefd=False) as file:
                file.write(data)
            socket.send_fds(sock, [_ELSEWHERE], [memory, *fds])
        finally:
            os.close(memory)
    elif fds:
        socket.send_fds(sock, [data], list(fds))
    else:
        sock.send(data)


def receive(sock: socket.socket, max_fds: int = 4) -> tuple[Message, list[int]] | None:
    """The next message and its descriptors (not inheritable), or None at the end."""
    data, fds = _receive(sock, MAX_DATAGRAM + 1, max_fds + 1)
    if not data:
        return None
    if data == _ELSEWHERE and fds:
        with open(fds.pop(0), "rb") as file:
            file.seek(0)
            data = file.read(MAX_MESSAGE)
    message: Message = json.loads(data)
    return message, fds


def receive_fd(sock: socket.socket) -> int | None:
    """The one descriptor that comes with the next bytes, or None when none does."""
    _, fds = _receive(sock, 4096, 1)
    return fds[0] if fds else None


def _receive(sock: socket.socket, size: int, max_fds: int) -> tuple[bytes, list[int]]:
    space = socket.CMSG_SPACE(max_fds * array.array("i").itemsize)
    data, ancillary, _, _ = sock.recvmsg(size, space, socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    return data, list(fds)
