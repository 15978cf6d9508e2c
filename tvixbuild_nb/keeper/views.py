"""Views of a build's inputs, asked for from the file-system server and taken away again."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from tvixbuild_nb.keeper import linux
from tvixbuild_nb.keeper.messages import Message, channel, receive, send

READY_TIMEOUT = 20.0
DONE_TIMEOUT = 20.0
MAX_SHARED = 4


class ViewFailed(Exception):
    """The view could not be had; ``hint`` is the server's advice, ``died`` that nobody was left to say why."""

    def __init__(self, message: str, hint: str | None = None, *, died: bool = False) -> None:
        super().__init__(message)
        self.hint = hint
        self.died = died


class MountedInputs(ABC):
    """What stands on a build's ``inputs/``; the death of who serves it shows on ``fileno()``.

    ``faults`` holds, after :meth:`finish`, what could not be answered though it should, one text each.
    """

    def __init__(self, mountpoint: str, pid: int) -> None:
        self.mountpoint = mountpoint
        self.pid = pid
        self.faults: list[str] = []
        self._unmounting: threading.Thread | None = None

    @abstractmethod
    def fileno(self) -> int: ...

    def unmount(self) -> None:
        """Begin to take it away, beside whatever comes next: most of it is the kernel waiting. Idempotent."""
        if self._unmounting is None:
            self._unmounting = threading.Thread(target=self._unmount)
            self._unmounting.start()

    def finish(self) -> str | None:
        """Wait until it is taken away and the trace is written; None, or what went wrong."""
        self.unmount()
        if self._unmounting is not None:
            self._unmounting.join()
        return self._finish()

    @abstractmethod
    def _unmount(self) -> None: ...

    @abstractmethod
    def _finish(self) -> str | None: ...


class View(MountedInputs):
    """One mounted view, served by a process of its own."""

    def __init__(self, mountpoint: str, sock: socket.socket, pid: int) -> None:
        super().__init__(mountpoint, pid)
        self._sock = sock

    def fileno(self) -> int:
        return self._sock.fileno()

    def _unmount(self) -> None:
        try:
            linux.umount(self.mountpoint)
        except OSError:
            # Without namespaces an ordinary user may not: the process that serves it can, and does when asked.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def _finish(self) -> str | None:
        with self._sock:
            answer = _answer(self._sock, DONE_TIMEOUT)
            if answer is None and not _hung_up(self._sock):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
        if answer is None:
            return "the file system process did not end as it should; its access trace is lost"
        self.faults = answer.get("faults", [])
        if "error" in answer:
            return f"the access trace is lost: {answer['error']}"
        return None


class BoundView(MountedInputs):
    """A shared view bound to one build's mount point; what it could not answer is only told at its own end."""

    def __init__(self, mountpoint: str, pid: int) -> None:
        super().__init__(mountpoint, pid)
        self._pidfd = os.pidfd_open(pid)
        self._problem: str | None = None

    def fileno(self) -> int:
        return self._pidfd

    def _unmount(self) -> None:
        try:
            linux.umount(self.mountpoint)
        except OSError as error:
            self._problem = f"inputs: {error.strerror}"

    def _finish(self) -> str | None:
        os.close(self._pidfd)
        return self._problem


class PendingView:
    """A view that was asked for: :meth:`ready` waits for it."""

    def __init__(self, mountpoint: str, sock: socket.socket) -> None:
        self._mountpoint = mountpoint
        self._sock = sock

    def ready(self) -> View:
        """The mounted view; :class:`ViewFailed` with the server's reason."""
        answer = _answer(self._sock, READY_TIMEOUT)
        if answer is None:
            self._sock.close()
            raise ViewFailed("the file system process ended, or hung, before its view was ready", died=True)
        if "error" in answer:
            self._sock.close()
            raise ViewFailed(answer["error"], answer.get("hint"))
        return View(self._mountpoint, self._sock, answer["ready"])


def ask_for_view(server: socket.socket, plan: Message, mountpoint: str) -> PendingView:
    """Have a fresh view mounted on ``mountpoint``; :class:`ViewFailed` when nobody is there to do it."""
    ours, theirs = channel()
    try:
        send(server, {**plan, "mountpoint": mountpoint}, [theirs.fileno()])
    except OSError as error:
        ours.close()
        raise ViewFailed(f"the file system process is gone: {error.strerror}", died=True) from error
    finally:
        theirs.close()
    return PendingView(mountpoint, ours)


def bind_shared_view(server: socket.socket, plan: Message, key: str, home: str, mountpoint: str) -> BoundView:
    """Bind the warm view ``key`` onto ``mountpoint``, mounting it first where nobody has.

    Shared views stay under ``home`` until the keeper ends or newer ones displace them; a displaced
    one lives on below the builds that still use it.
    """
    os.makedirs(home, mode=0o711, exist_ok=True)
    with _locked(os.path.join(home, "lock")):
        shared = os.path.join(home, key)
        note = f"{shared}.pid"
        pid = _living_server(note, shared)
        if pid is None:
            os.makedirs(shared, exist_ok=True)
            with contextlib.suppress(OSError):
                linux.umount(shared)
            _displace(home)
            view = ask_for_view(server, plan, shared).ready()
            pid = view.pid
            with open(note, "w", encoding="ascii") as file:
                file.write(str(pid))
        linux.mount(shared, mountpoint, None, linux.MS_BIND)
    return BoundView(mountpoint, pid)


def _living_server(note: str, shared: str) -> int | None:
    try:
        with open(note, encoding="ascii") as file:
            pid = int(file.read())
        os.listdir(shared)
    except (FileNotFoundError, OSError, ValueError):
        return None
    return pid if os.path.ismount(shared) else None


def _displace(home: str) -> None:
    notes = sorted(
        (entry for entry in os.scandir(home) if entry.name.endswith(".pid")), key=lambda entry: entry.stat().st_mtime_ns
    )
    for note in notes[: max(0, len(notes) - MAX_SHARED + 1)]:
        with contextlib.suppress(OSError):
            linux.umount(note.path.removesuffix(".pid"))
        os.unlink(note.path)


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _hung_up(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, 0)
    return bool(poll.poll(0))


def _answer(sock: socket.socket, timeout: float) -> dict[str, Any] | None:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    if not poll.poll(timeout * 1000):
        return None
    try:
        received = receive(sock)
    except OSError:
        return None
    return None if received is None else received[0]
