"""The owner's end of the lines to workers on this host: what they tell of their jobs, and how they are told to stop."""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Client, Connection, Listener, answer_challenge, deliver_challenge
from pathlib import Path

from tvixbuild_nb.build import locks
from tvixbuild_nb.build.workers.job import Message
from tvixbuild_nb.build.workers.sockets import CANCEL, UNREACHABLE, SocketLine, hang_up, place_of

Hear = Callable[[Message], None]
# Seconds: for the accepting thread to end; to the next try where there are no descriptors left.
_PATIENCE = 0.5
_PAUSE = 0.1
_PREFIX = "tvixbuild-nb-jobs-"


class SocketExchange:
    """The other side: hears what workers tell of their jobs, and tells them to cancel."""

    def __init__(self) -> None:
        self._home, self._alive = _own_directory()
        self._key = secrets.token_bytes(32)
        address = os.path.join(self._home, "jobs")
        # Without the key: who has it shows so on a thread of its own, and keeps nobody waiting who comes next.
        self._listener = Listener(address, "AF_UNIX", backlog=128)
        self.line = SocketLine(address, self._key, place_of(address))
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
        """Nobody waits for ``job`` any more: a worker that begins it all the same is told to end it."""
        with self._lock:
            self._hearers.pop(job, None)

    def cancel(self, job: str) -> bool:
        """Tell the worker of ``job`` to end it; False when none has it (yet)."""
        with self._lock:
            connection = self._connections.get(job)
            if connection is None:
                return False
            with contextlib.suppress(*UNREACHABLE):
                connection.send(CANCEL)
            return True

    def close(self) -> None:
        """Hear no more; workers that are still at it cancel."""
        with self._lock:
            self._closed = True
        # What waits for a connection is not woken by closing what it waits on.
        with contextlib.suppress(*UNREACHABLE):
            Client(self.line.address).close()
        self._thread.join(_PATIENCE)
        with self._lock:
            for connection in self._connections.values():
                hang_up(connection)
        shutil.rmtree(self._home, ignore_errors=True)
        os.close(self._alive)

    def _accept(self) -> None:
        while True:
            try:
                connection: Connection | None = self._listener.accept()
            except OSError:
                # This process has no descriptor left for it: it waits in line.
                connection = None
                time.sleep(_PAUSE)
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
            deliver_challenge(connection, self._key)
            answer_challenge(connection, self._key)
            job = connection.recv()
            with self._lock:
                self._connections[job] = connection
                if self._closed or job not in self._hearers:
                    connection.send(CANCEL)
            while True:
                self._pass_on(job, connection.recv())
        except UNREACHABLE:
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
