"""A line to workers on this host: a socket that only this account can reach, one connection for each job."""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import threading
from dataclasses import dataclass, field
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection

from tvixbuild_nb.build.service import CancelToken
from tvixbuild_nb.build.workers.job import Answer, Message, Voice
from tvixbuild_nb.castore.local.layout import boot_id

# Whoever cannot connect, connection by connection: another host, another account, nobody there any more.
UNREACHABLE = (OSError, EOFError, ValueError, AuthenticationError)
# What says, where the socket would have to be seen, that its owner is no more.
_GONE = (FileNotFoundError, ConnectionRefusedError)
# What the other side sends to have a job ended.
CANCEL = "cancel"
# Seconds between two looks whether the parent is still there.
_LOOK = 0.5


@dataclass(frozen=True, slots=True)
class SocketLine:
    """See :class:`Line`: where the socket is, the key that opens it, and by what one tells who sees the same place."""

    address: str
    key: bytes = field(repr=False)
    place: str = ""

    def open(self, job: str) -> Voice:
        """The worker's end; where the socket cannot be reached, one that nobody hears."""
        worker = f"process {os.getpid()}"
        try:
            connection = Client(self.address, authkey=self.key)
            connection.send(job)
        except _GONE:
            # On another host that means nothing; here nobody waits for the job any more.
            unwanted = bool(self.place) and place_of(self.address) == self.place
            return SocketVoice(f"{worker} of {platform.node()}", None, unwanted=unwanted)
        except UNREACHABLE:
            return SocketVoice(f"{worker} of {platform.node()}", None)
        return SocketVoice(worker, connection)


class SocketVoice:
    """See :class:`Voice`."""

    def __init__(self, worker: str, connection: Connection | None, *, unwanted: bool = False) -> None:
        self.worker = worker
        self._connection = connection
        self._unwanted = unwanted
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def tell(self, message: Message) -> None:
        if self._connection is not None:
            # Nobody there is what obey() notices.
            with self._lock, contextlib.suppress(*UNREACHABLE):
                self._connection.send(message)

    def earlier(self) -> Answer | None:
        # No executor of this host does a job again by itself.
        return None

    def obey(self, cancel: CancelToken) -> None:
        if self._unwanted:
            cancel.cancel()
        if self._connection is not None:
            self._thread = threading.Thread(target=self._listen, args=(self._connection, cancel), daemon=True)
            self._thread.start()

    def _listen(self, connection: Connection, cancel: CancelToken) -> None:
        # A sibling that was forked later may hold the other end open after its owner died.
        parent = os.getppid()
        while not self._over.is_set():
            try:
                gone = os.getppid() != parent
                if gone or (connection.poll(_LOOK) and connection.recv() == CANCEL):
                    cancel.cancel()
                    return
            except UNREACHABLE:
                if not self._over.is_set():
                    cancel.cancel()
                return

    def close(self) -> None:
        self._over.set()
        if self._connection is None:
            return
        # Wakes the one who listens; what was told before is still heard.
        hang_up(self._connection)
        if self._thread is not None:
            self._thread.join()
        self._connection.close()


def place_of(address: str) -> str:
    """What is the same for all processes that see the same directory for temporary files; empty where none is seen."""
    try:
        seen = os.stat(os.path.dirname(os.path.dirname(address)))
    except OSError:
        return ""
    return f"{boot_id()} {seen.st_dev} {seen.st_ino}"


def hang_up(connection: Connection) -> None:
    """End it for both sides; the thread that reads from it closes it."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.shutdown(socket.SHUT_RDWR)
