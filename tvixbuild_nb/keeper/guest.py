"""What one visitor of a container wants: to look at its processes, or to have a command executed inside."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import stat
import subprocess

from tvixbuild_nb.keeper import linux
from tvixbuild_nb.keeper.inspect import children_of
from tvixbuild_nb.keeper.messages import Message, listen_in, receive, receive_fd, send
from tvixbuild_nb.keeper.processes import processes
from tvixbuild_nb.keeper.runtime import Runtime, last_error

# Seconds between asking and ending, for a command whose visitor went away.
_GRACE = 0.5


class Guest:
    """A process for one visitor: forked by the supervisor, gone when the visitor or the container is.

    The command is executed with the process of the build's config.json, but for its arguments and its terminal.
    """

    def __init__(self, plan: Message, init: int, visitor: socket.socket) -> None:
        self._plan = plan
        self._init = init
        self._visitor = visitor
        self._runtime = Runtime.from_message(plan["runtime"])
        self._bundle: str = plan["bundle"]
        self._name = f"guest-{os.getpid()}"
        self._pid: int | None = None
        self._dismissed = False

    def live(self, message: Message, fds: list[int]) -> None:
        """Do what ``message`` asks: ``look``, or ``enter`` with the descriptors for input, output and errors."""
        linux.call_process("tvixbuild-guest")
        linux.become_subreaper()
        signal.signal(signal.SIGTERM, self._dismiss)
        if message["op"] == "look":
            for each in processes(self._init):
                self._tell({"process": each})
            self._tell({"event": "end"})
        elif message["op"] == "enter":
            try:
                self._enter(message, fds)
            except OSError as error:
                said = f"{error.filename or self._runtime.path}: {error.strerror}"
                self._tell({"event": "refused", "error": said, "said": False})
            finally:
                self._tidy_up()

    def _dismiss(self, number: int, frame: object) -> None:
        self._dismissed = True

    # -- going in --------------------------------------------------------------------------------

    def _enter(self, message: Message, fds: list[int]) -> None:
        terminal = None
        if message["terminal"]:
            terminal, error = self._call_with_terminal(message)
        else:
            self._give(fds[1:], message["give"])
            error = self._call(message, fds, [])
        for fd in fds:
            os.close(fd)
        if error is not None:
            # What runc and crun have in their log they also say where the command would have written.
            said = bool(fds) and last_error(self._path("log")) is not None
            self._tell({"event": "refused", "error": error, "said": said})
            return
        with open(self._path("pid"), encoding="ascii") as file:
            self._pid = int(file.read())
        send(self._visitor, {"event": "entered"}, () if terminal is None else [terminal])
        if terminal is not None:
            os.close(terminal)
        self._see_out(self._pid)

    def _give(self, fds: list[int], ours: bool) -> None:
        """Pipes made for this command are given to the sandbox's user, who may want to reopen them."""
        user = self._plan["user"]
        if not ours or user is None:
            return
        for fd in fds:
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                with contextlib.suppress(PermissionError):
                    os.fchown(fd, *user)

    def _call(self, message: Message, fds: list[int], options: list[str]) -> str | None:
        """Have the runtime execute the command; None, or why it could not."""
        process = self._process(message)
        try:
            call = self._start(process, fds, options)
            call.wait()
        finally:
            os.close(process)
        return self._verdict(call)

    def _call_with_terminal(self, message: Message) -> tuple[int | None, str | None]:
        """The same in a pseudo-terminal of its own; its other side, and None or why it could not."""
        process = self._process(message)
        socket_name = f"{self._name}.sock"
        try:
            with listen_in(self._bundle, socket_name, socket.SOCK_STREAM) as listener:
                call = self._start(process, [], ["--console-socket", socket_name])
                terminal = _accept_terminal(listener, call)
                call.wait()
        finally:
            os.close(process)
        return terminal, self._verdict(call)

    def _process(self, message: Message) -> int:
        """The build's process with other arguments, as a file in memory: a full disk need not keep anybody out."""
        with open(os.path.join(self._bundle, "config.json"), encoding="utf-8") as file:
            process = json.load(file)["process"]
        fd = os.memfd_create("process.json")
        with open(fd, "w", encoding="utf-8", closefd=False) as file:
            json.dump({**process, "args": message["args"], "terminal": message["terminal"]}, file)
        os.lseek(fd, 0, os.SEEK_SET)
        return fd

    def _start(self, process: int, fds: list[int], options: list[str]) -> subprocess.Popen[bytes]:
        arguments = ["exec", "-d", "--process", f"/proc/self/fd/{process}", "--pid-file", self._path("pid"), *options]
        command = self._runtime.command(self._path("log"), *arguments, self._plan["container"])
        stdin, stdout, stderr = fds or [subprocess.DEVNULL] * 3
        return self._runtime.start(command, stdout, stderr, self._bundle, stdin=stdin, keep=[process])

    def _verdict(self, call: subprocess.Popen[bytes]) -> str | None:
        if call.returncode == 0:
            return None
        return last_error(self._path("log")) or f"{self._runtime.kind} ended with status {call.returncode}"

    # -- inside ----------------------------------------------------------------------------------

    def _see_out(self, pid: int) -> None:
        """Until the command ended, by itself or because its visitor went away or was sent away."""
        pidfd = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.register(self._visitor, select.POLLIN)
        while not linux.has_ended(pidfd) and not self._dismissed:
            if self._visitor.fileno() in dict(poll.poll(200)) and not self._obeyed(pid):
                break
        if not linux.has_ended(pidfd):
            self._end(pid, pidfd)
        _, status = os.waitpid(pid, 0)
        self._pid = None
        code = os.waitstatus_to_exitcode(status)
        ended = {"exit_code": code if code >= 0 else None, "signal": -code if code < 0 else None}
        self._tell({"event": "left", "sent_away": self._dismissed, **ended})

    def _obeyed(self, pid: int) -> bool:
        """Do what the visitor says now; whether it is still there."""
        try:
            heard = receive(self._visitor)
        except OSError:
            heard = None
        if heard is None:
            return False
        if heard[0]["op"] == "interrupt":
            for below in _below(pid):
                _signal(below, heard[0]["signal"])
        return True

    def _end(self, pid: int, pidfd: int) -> None:
        everybody = [pid, *_below(pid)]
        for each in everybody:
            _signal(each, signal.SIGTERM)
            _signal(each, signal.SIGHUP)
        linux.has_ended(pidfd, _GRACE)
        for each in {*everybody, *_below(pid)}:
            _signal(each, signal.SIGKILL)

    def _tidy_up(self) -> None:
        for name in ("pid", "log", "sock"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path(name))

    def _path(self, kind: str) -> str:
        return os.path.join(self._bundle, f"{self._name}.{kind}")

    def _tell(self, message: Message) -> None:
        # Nobody may be there any more to hear it.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            send(self._visitor, message)


def _accept_terminal(listener: socket.socket, call: subprocess.Popen[bytes]) -> int | None:
    """The terminal's other side, which the runtime sends before it ends; None when it ended without."""
    pidfd = os.pidfd_open(call.pid)
    try:
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        poll.register(pidfd, select.POLLIN)
        if listener.fileno() not in dict(poll.poll()):
            return None
        connection, _ = listener.accept()
        with connection:
            return receive_fd(connection)
    finally:
        os.close(pidfd)


def _below(pid: int) -> list[int]:
    """The descendants of ``pid``."""
    found: list[int] = []
    todo = [pid]
    while todo:
        children = children_of(todo.pop())
        found.extend(children)
        todo.extend(children)
    return found


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
