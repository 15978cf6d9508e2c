"""The other end of the server process: its command line, the view files, and a client for both."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from tvixbuild_nb.castore.encoding import encode_node
from tvixbuild_nb.castore.nodes import Node
from tvixbuild_nb.errors import FuseError
from tvixbuild_nb.fs.linux import unmount

# Seconds a fresh server may take to start and mount.
START_TIMEOUT = 30.0


def server_command() -> list[str]:
    """The command that starts the server process; append the number of its control socket, inherited.

    No site set-up and no search for packages: this process's ``sys.path`` is passed on.
    """
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    path = [package, *(os.path.abspath(entry) for entry in sys.path if entry and entry != package)]
    code = f"import sys; sys.path[:] = {path!r}; from tvixbuild_nb.fs.server import main; main(int(sys.argv[1]))"
    return [sys.executable, "-I", "-S", "-c", code]


def view_description(
    store: str, entries: Mapping[bytes, Node], *, xattrs: bool = False, backwards: bool = False
) -> str:
    """The JSON text of a view file: the store's address, and the nodes in the view's root by name.

    ``xattrs``: digests are shown as extended attributes; ``backwards``: directories are listed from the last name on.
    """
    pairs = [[_base64(name), _base64(encode_node(name, node))] for name, node in sorted(entries.items())]
    return json.dumps({"store": store, "entries": pairs, "xattrs": xattrs, "backwards": backwards})


class ViewServer:
    """A server process of one's own; a context manager that leaves no process and no mount behind.

    ``transport`` insists on one way to speak FUSE, ``"direct"`` or ``"fusepy"``; None takes the one that works.
    """

    def __init__(self, transport: str | None = None) -> None:
        self._transport = transport
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = control
        with theirs:
            # A session of its own: Ctrl-C in the terminal is for the owner, who unmounts.
            self._process = subprocess.Popen(
                [*server_command(), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id of the server, the parent of every view's process."""
        return self._process.pid

    def mount(
        self,
        view: str | os.PathLike[str],
        mountpoint: str | os.PathLike[str],
        *,
        trace: str | os.PathLike[str] | None = None,
        allow_other: bool = False,
        store: str | None = None,
    ) -> MountedView:
        """Mount what the view file describes; returns when it answers, raises :class:`FuseError` when not.

        ``trace`` is the file that will hold the JSON of the AccessTrace after the unmount. A ``store`` is
        one to be held open for the next view.
        """
        mountpoint = os.path.abspath(mountpoint)
        request = {
            "mountpoint": mountpoint,
            "view": os.path.abspath(view),
            "trace": None if trace is None else os.path.abspath(trace),
            "allow_other": allow_other,
            "transport": self._transport,
            **({} if store is None else {"store": store}),
        }
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                socket.send_fds(self._control, [json.dumps(request).encode("ascii")], [theirs.fileno()])
            except OSError as error:
                ours.close()
                raise FuseError(f"the view server is gone: {error}", stage="mount") from error
        mounted = MountedView(mountpoint, ours)
        mounted._await_ready()
        return mounted

    def close(self) -> None:
        """End the server; views still mounted are unmounted. Idempotent."""
        self._control.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class MountedView:
    """One mounted view; ``pid`` is the process that serves it. Unmounted at the end of a ``with`` block."""

    def __init__(self, mountpoint: str, reports: socket.socket) -> None:
        self.mountpoint = mountpoint
        self.pid = 0
        self._reports = reports
        self._faults: list[str] | None = None

    @property
    def faults(self) -> tuple[str, ...]:
        """After the end: what the view could not answer though it should, one text each."""
        return tuple(self._faults or ())

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the unmount, by whomever; False after ``timeout`` seconds. :class:`FuseError` when it died."""
        if self._faults is not None:
            return True
        message = self._receive(timeout)
        if message is None:
            return False
        self._reports.close()
        if not message.get("done"):
            self._faults = []
            raise _error(message, "the process that served the view died", self.mountpoint)
        self._faults = message.get("faults", [])
        return True

    def unmount(self, timeout: float = 10.0) -> None:
        """Unmount and wait until the trace is written; what is still open is cut off after ``timeout`` seconds."""
        if self._faults is not None:
            return
        with contextlib.suppress(OSError):
            unmount(self.mountpoint, lazy=True)
        if not self.wait(timeout):
            os.kill(self.pid, 15)
            if not self.wait(timeout):
                os.kill(self.pid, 9)
                self.wait(timeout)

    def _await_ready(self) -> None:
        message = self._receive(START_TIMEOUT)
        if message is None or "ready" not in message:
            self._reports.close()
            raise _error(message or {}, "the view server does not answer", self.mountpoint)
        self.pid = message["ready"]

    def _receive(self, timeout: float | None) -> dict[str, Any] | None:
        """The next report; an empty one when the other end is gone, None after ``timeout`` seconds."""
        if not select.select([self._reports], [], [], timeout)[0]:
            return None
        data = self._reports.recv(1 << 20)
        return json.loads(data) if data else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unmount()


def _error(message: dict[str, Any], otherwise: str, mountpoint: str) -> FuseError:
    return FuseError(message.get("error", otherwise), path=mountpoint, stage="mount", hint=message.get("hint"))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
