"""A line to workers on this host: a socket that only this account can reach, one connection for each job."""

from __future__ import annotations

import contextlib
import glob
import os
import platform
import secrets
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path

from tvixbuild_nb.build import locks
from tvixbuild_nb.build.service import CancelToken
from tvixbuild_nb.build.workers.job import Message, Voice

Hear = Callable[[Message], None]
# Whoever cannot connect, connection by connection: another host, another account, nobody there any more.
_UNREACHABLE = (OSError, EOFError, ValueError)
# Seconds between two looks whether the parent is still there.
_LOOK = 0.5
_CANCEL = "cancel"
_PREFIX = "tvixbuild-nb-jobs-"


@dataclass(frozen=True, slots=True)
class SocketLine:
    """See :class:`Line`: where the socket is, and the key that opens it."""

    address: str
    key: bytes = field(repr=False)

    def open(self, job: str) -> Voice:
        """The worker's end; where the socket cannot be reached, one that nobody hears."""
        worker = f"process {os.getpid()}"
        try:
            connection = Client(self.address, authkey=self.key)
            connection.send(job)
        except _UNREACHABLE:
            return SocketVoice(f"{worker} of {platform.node()}", None)
        return SocketVoice(worker, connection)


class SocketVoice:
    """See :class:`Voice`."""

    def __init__(self, worker: str, connection: Connection | None) -> None:
        self.worker = worker
        self._connection = connection
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def tell(self, message: Message) -> None:
        if self._connection is not None:
            # Nobody there is what obey() notices.
            with self._lock, contextlib.suppress(*_UNREACHABLE):
                self._connection.send(message)

    def obey(self, cancel: CancelToken) -> None:
        if self._connection is not None:
            self._thread = threading.Thread(target=self._listen, args=(self._connection, cancel), daemon=True)
            self._thread.start()

    def _listen(self, connection: Connection, cancel: CancelToken) -> None:
        # A sibling that was forked later may hold the other end open after its owner died.
        parent = os.getppid()
        while not self._over.is_set():
            try:
                gone = os.getppid() != parent
                if gone or (connection.poll(_LOOK) and connection.recv() == _CANCEL):
                    cancel.cancel()
                    return
            except _UNREACHABLE:
                if not self._over.is_set():
                    cancel.cancel()
                return

    def close(self) -> None:
        self._over.set()
        if self._connection is None:
            return
        # Wakes the one who listens; what was told before is still heard.
        _hang_up(self._connection)
        if self._thread is not None:
            self._thread.join()
        self._connection.close()


class SocketExchange:
    """The other side: hears what workers tell of their jobs, and tells them to cancel."""

    def __init__(self) -> None:
        self._home, self._alive = _own_directory()
        self._key = secrets.token_bytes(32)
        self._listener = Listener(os.path.join(self._home, "jobs"), "AF_UNIX", backlog=128, authkey=self._key)
        self.line = SocketLine(os.path.join(self._home, "jobs"), self._key)
        self._lock = threading.Lock()
        self._hearers: dict[str, Hear] = {}
        self._connections: dict[str, Connection] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._accept, name="jobs", daemon=True)
        self._thread.start()

    def hear(self, job: str, hear: Hear) -> None:
        """From now on ``hear`` gets what is told of ``job``, on a thread of its own, and ``gone`` in the end."""
        with self._lock:
            self._hearers[job] = hear

    def forget(self, job: str) -> None:
        """Nobody waits for ``job`` any more."""
        with self._lock:
            self._hearers.pop(job, None)

    def cancel(self, job: str) -> bool:
        """Tell the worker of ``job`` to end it; False when none has it (yet)."""
        with self._lock:
            connection = self._connections.get(job)
            if connection is None:
                return False
            with contextlib.suppress(*_UNREACHABLE):
                connection.send(_CANCEL)
            return True

    def close(self) -> None:
        """Hear no more; workers that are still at it cancel."""
        with self._lock:
            self._closed = True
        # What waits for a connection is not woken by closing what it waits on.
        with contextlib.suppress(*_UNREACHABLE):
            Client(self.line.address, authkey=self._key).close()
        self._thread.join(_LOOK)
        with self._lock:
            for connection in self._connections.values():
                _hang_up(connection)
        shutil.rmtree(self._home, ignore_errors=True)
        os.close(self._alive)

    def _accept(self) -> None:
        while True:
            try:
                connection: Connection | None = self._listener.accept()
            except Exception:
                # A stranger, or one that died while it introduced itself; or the end.
                connection = None
            with self._lock:
                closed = self._closed
            if closed:
                break
            if connection is not None:
                threading.Thread(target=self._listen, args=(connection,), name="job", daemon=True).start()
        if connection is not None:
            connection.close()
        self._listener.close()

    def _listen(self, connection: Connection) -> None:
        job = ""
        try:
            job = connection.recv()
            with self._lock:
                self._connections[job] = connection
            while True:
                self._pass_on(job, connection.recv())
        except _UNREACHABLE:
            with self._lock:
                self._connections.pop(job, None)
                connection.close()
            self._pass_on(job, {"told": "gone"})

    def _pass_on(self, job: str, message: Message) -> None:
        with self._lock:
            hear = self._hearers.get(job)
        if hear is not None:
            hear(message)


def _own_directory() -> tuple[str, int]:
    """A new directory that only this account can enter, and the lock of its owner; those of dead owners go."""
    for left in map(Path, glob.glob(os.path.join(tempfile.gettempdir(), f"{_PREFIX}*"))):
        # What others put there, a link or a directory of their own, is not even looked into.
        with contextlib.suppress(OSError):
            ours = os.lstat(left).st_uid == os.geteuid() and (left / "lock").exists()
            if ours and (fd := locks.take(left / "lock")) is not None:
                shutil.rmtree(left, ignore_errors=True)
                os.close(fd)
    home = tempfile.mkdtemp(prefix=_PREFIX)
    lock = locks.take(Path(home, "lock"))
    assert lock is not None, "nobody else knows of it"
    return home, lock


def _hang_up(connection: Connection) -> None:
    """End it for both sides; the thread that reads from it closes it."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.shutdown(socket.SHUT_RDWR)
