"""The process that serves views: every view is a forked child.

Started by :func:`tvixbuild_nb.fs.server_command` with the number of a SEQPACKET socket. Each
datagram is a JSON object ``{"mountpoint", "view", "trace", "allow_other"}``, may name the view's
``"store"`` and the ``"transport"`` to insist on, and carries one more SEQPACKET socket, on which the
child that serves the view says ``{"ready": pid}``, or ``{"error", "hint"}``, and after the unmount
``{"done": true, "faults": [...]}``; a socket that ends without it belonged to a child that died.
SIGTERM to the child unmounts in good order, too.

Single-threaded, so forking is safe; a hanging or killed view takes nothing else along. One child is
forked ahead, with the last view's store open and a mount like its mount made, so that the next view need
not wait for any of them.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import gc
import importlib
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, NoReturn

from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.castore.encoding import decode_node, encode_node
from tvixbuild_nb.castore.nodes import Node, SymlinkNode
from tvixbuild_nb.errors import FuseError, TvixBuildError
from tvixbuild_nb.fs.faults import fuse_error
from tvixbuild_nb.fs.inodes import ROOT, View
from tvixbuild_nb.fs.linux import call_process, die_with_parent, unmount
from tvixbuild_nb.fs.options import MountOptions
from tvixbuild_nb.fs.served import ServedView
from tvixbuild_nb.fs.trace import Recorder, write_trace
from tvixbuild_nb.fs.transports import Prepared, serve

MAX_REQUEST = 1 << 16
# Seconds a child gets to unmount and to write its trace before it is killed.
GRACE = 2.0
# Milliseconds of quiet before the next child is forked ahead: not in the way of the build that just began.
AHEAD = 15


def main(descriptor: int) -> None:
    """Serve views asked for on the socket ``descriptor`` until its other end, or the parent, is gone."""
    call_process("tvixbuild-fs")
    importlib.import_module("tvixbuild_nb.castore.local")  # or every child would load it anew
    # What is loaded now is shared with the children; their collector must not touch it.
    gc.freeze()
    Server(socket.socket(fileno=descriptor)).run()


class Spare(NamedTuple):
    """A child forked ahead, waiting on ``task`` for its request."""

    pid: int
    task: socket.socket


class Ahead(NamedTuple):
    """What was made before anybody asked: a store, where one is known, and what can be made of a mount."""

    store: Castore | None
    prepared: Prepared

    @classmethod
    def make(cls, store: str | None, options: MountOptions, transport: str | None) -> Ahead:
        """For a view of ``store`` with ``options``, by ``transport``: like the last one."""
        castore = _open_ahead(store)
        if castore is not None:
            _rehearse(castore)
        return cls(castore, Prepared.make(options, transport))


class Server:
    """Forks a child per request and waits for all of them; ends with its control socket or its parent."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._pid = os.getpid()
        self._children: dict[int, tuple[int, str]] = {}  # pidfd -> pid, mount point
        self._spare: Spare | None = None
        self._store: str | None = None
        self._options = MountOptions(allow_other=True)
        self._transport: str | None = None

    def run(self) -> None:
        """Answer requests until the end; leaves no child and no mount behind."""
        parent = os.pidfd_open(os.getppid())
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(parent, select.POLLIN)
        try:
            while True:
                events = [descriptor for descriptor, _ in poll.poll(AHEAD if self._spare is None else None)]
                if not events:
                    self._fork_ahead()
                for descriptor in events:
                    if descriptor in self._children:
                        poll.unregister(descriptor)
                        self._reap(descriptor)
                if parent in events:
                    return
                if self._control.fileno() in events:
                    data, sockets, _, _ = socket.recv_fds(self._control, MAX_REQUEST, 1, socket.MSG_CMSG_CLOEXEC)
                    if not data:
                        return
                    pidfd = self._accept(data, sockets)
                    if pidfd is not None:
                        poll.register(pidfd, select.POLLIN)
        finally:
            self._end_children()

    def _accept(self, data: bytes, sockets: list[int]) -> int | None:
        """Fork a child for the request; its pidfd, or None when it was no request."""
        if not sockets:
            return None  # nobody to tell
        with socket.socket(fileno=sockets[0]) as reports:
            try:
                request: dict[str, Any] = json.loads(data)
                mountpoint = str(request["mountpoint"])
            except (ValueError, TypeError, KeyError) as error:
                _report(reports, error=f"not a request: {error!r}", hint=None)
                return None
            self._store = request.get("store", self._store)
            self._options, self._transport = _options(request), request.get("transport")
            pid = self._hand_over(data, reports) or os.fork()
            if pid == 0:
                self._child(lambda: serve_view(request, reports))
        pidfd = os.pidfd_open(pid)
        self._children[pidfd] = (pid, mountpoint)
        return pidfd

    def _fork_ahead(self) -> None:
        task, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            task.close()
            self._child(lambda: self._await_task(theirs))
        theirs.close()
        self._spare = Spare(pid, task)

    def _await_task(self, task: socket.socket) -> None:
        call_process("tvixbuild-spare")
        ahead = Ahead.make(self._store, self._options, self._transport)
        data, sockets, _, _ = socket.recv_fds(task, MAX_REQUEST, 1, socket.MSG_CMSG_CLOEXEC)
        task.close()
        if data:
            serve_view(json.loads(data), socket.socket(fileno=sockets[0]), ahead)

    def _hand_over(self, data: bytes, reports: socket.socket) -> int | None:
        """Give the request to the child forked ahead; its pid, or None when there is none (or it died)."""
        spare, self._spare = self._spare, None
        if spare is None:
            return None
        with spare.task:
            try:
                socket.send_fds(spare.task, [data], [reports.fileno()])
            except OSError:
                os.waitpid(spare.pid, 0)
                return None
        return spare.pid

    def _child(self, work: Callable[[], None]) -> NoReturn:
        status = 1
        try:
            die_with_parent()
            if os.getppid() == self._pid:
                # The requester must see the end of the control and view sockets, whoever lives on.
                self._control.close()
                for pidfd in self._children:
                    os.close(pidfd)
                work()
                status = 0
        finally:
            os._exit(status)

    def _reap(self, pidfd: int) -> None:
        pid, mountpoint = self._children.pop(pidfd)
        os.close(pidfd)
        os.waitpid(pid, 0)
        _remove_dead_mount(mountpoint)

    def _end_children(self) -> None:
        if self._spare is not None:
            self._spare.task.close()
            os.waitpid(self._spare.pid, 0)
        for pid, _ in self._children.values():
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        for pidfd, (pid, mountpoint) in list(self._children.items()):
            left = max(0.0, deadline - time.monotonic())
            if not select.select([pidfd], [], [], left)[0]:
                os.kill(pid, signal.SIGKILL)
                _detach(mountpoint)
            self._reap(pidfd)


def _rehearse(castore: Castore) -> None:
    """Go once through what every view needs: the pages that touches are copied now, and not while somebody waits."""
    node = encode_node(b"", SymlinkNode(b"rehearsal"))
    description = json.loads(json.dumps([[base64.b64encode(each).decode() for each in (b"name", node)]]))
    served = ServedView(View(_entries(description), castore), None)
    served.lookup(ROOT, b"name")
    list(served.readdir(ROOT))


def _open_ahead(store: str | None) -> Castore | None:
    """The store that the next view probably wants; None when nobody knows, or it cannot be had (now)."""
    try:
        return None if store is None else open_castore(store, read_only=True)
    except TvixBuildError:
        return None  # whoever asks for it will be told why


def serve_view(request: dict[str, Any], reports: socket.socket, ahead: Ahead | None = None) -> None:
    """Mount and serve one view, and report on ``reports``; returns when it is unmounted.

    Of ``ahead`` that is used which turns out to be the right one.
    """
    call_process("tvixbuild-view")
    stderr = os.memfd_create("stderr")
    os.dup2(stderr, 2)  # where libfuse and fusermount say why
    # A collection would walk every inode of the view, and nothing here makes cycles.
    gc.disable()
    try:
        _check_mountpoint(request["mountpoint"])
        with open(request["view"], "rb") as file:
            description = json.load(file)
        trace_path: str | None = request["trace"]
        store = None if ahead is None else ahead.store
        if store is None or store.address != description["store"]:
            store = open_castore(description["store"], read_only=True)
        with store as castore:
            view = View(_entries(description["entries"]), castore, backwards=bool(description["backwards"]))
            recorder = Recorder(view)
            served = ServedView(view, recorder)
            options = replace(_options(request), xattrs=bool(description["xattrs"]))
            serve(
                served,
                request["mountpoint"],
                options,
                transport=request.get("transport"),
                ready=lambda: _report(reports, ready=os.getpid()),
                prepared=None if ahead is None else ahead.prepared,
            )
            if trace_path is not None:
                write_trace(recorder.trace(), trace_path)
            served.close()
        _report(reports, done=True, faults=recorder.faults)
    except Exception as error:
        failure = _failure(error, os.pread(stderr, MAX_REQUEST // 4, 0), request["mountpoint"])
        _report(reports, error=failure.message, hint=failure.hint)


def _options(request: dict[str, Any]) -> MountOptions:
    return MountOptions(allow_other=bool(request.get("allow_other")), opens=request.get("trace") is not None)


def _check_mountpoint(mountpoint: str) -> None:
    """Refuse what one libfuse refuses and the other covers up: a mount point that is missing or not empty."""
    try:
        if os.listdir(mountpoint):
            raise FuseError("the mount point is not empty", path=mountpoint, hint="give an empty directory")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FuseError(
            "the mount point does not exist or is not a directory", path=mountpoint, hint="make an empty directory"
        ) from error


def _failure(error: Exception, said: bytes, mountpoint: str) -> FuseError:
    """What to tell the requester: libfuse's own words where it said some, else the exception's."""
    if isinstance(error, FuseError):
        return error
    if isinstance(error, TvixBuildError):  # the store's
        where = f"{error.where}: " if error.where else ""
        return FuseError(f"{where}{error.message}", path=mountpoint, hint=error.hint)
    text = said.decode("utf-8", "replace").strip()
    if isinstance(error, RuntimeError) and text:  # the binding raises a bare number
        return fuse_error(text, path=mountpoint)
    return fuse_error(f"{text} {error}" if isinstance(error, OSError) else f"{text} {error!r}", path=mountpoint)


def _entries(pairs: list[tuple[str, str]]) -> dict[bytes, Node]:
    return {
        base64.b64decode(name, validate=True): decode_node(base64.b64decode(node, validate=True), named=False)[1]
        for name, node in pairs
    }


def _report(reports: socket.socket, **message: object) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        reports.send(json.dumps(message).encode("ascii"))


def _remove_dead_mount(mountpoint: str) -> None:
    """Take away what a killed child left: a mount whose every use says ENOTCONN."""
    try:
        os.stat(mountpoint)
    except OSError as error:
        if error.errno == errno.ENOTCONN:
            _detach(mountpoint)


def _detach(mountpoint: str) -> None:
    with contextlib.suppress(OSError):  # unmounted by somebody else meanwhile
        unmount(mountpoint, lazy=True)
