"""The first process of the keeper's pid namespace: it starts the file-system server and forks supervisors.

When it dies, the kernel kills everything in its namespace; that is its main duty.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tvixbuild_nb.keeper import linux
from tvixbuild_nb.keeper.cgroups import BuildCgroup, hierarchies, why_not
from tvixbuild_nb.keeper.inspect import children_of
from tvixbuild_nb.keeper.messages import Message, channel, receive, send
from tvixbuild_nb.keeper.supervisor import Supervisor
from tvixbuild_nb.keeper.trees import adopt, remove

_REAP_INTERVAL = 1000
# Seconds between looks at whether those who were killed have ended.
_REAPING = 0.001
# Milliseconds of quiet before the next supervisor is forked ahead: not in the way of the build that just began.
_AHEAD = 15


@dataclass(frozen=True, slots=True)
class Child:
    """A forked supervisor or worker: ``run`` is its run's socket, held so that the owner sees the end only after us."""

    pid: int
    pidfd: int
    run: socket.socket
    bundle: str | None
    cgroup: str | None


class Spare(NamedTuple):
    """A supervisor forked ahead, waiting on ``task`` for its plan."""

    pid: int
    task: socket.socket


class Inner:
    """Serves the owner's requests until the owner's socket ends; ``leases`` tells outer what to tidy up."""

    def __init__(self, owner: socket.socket, leases: int, fs_command: list[str] | None) -> None:
        self._owner = owner
        self._leases = leases
        self._fs_command = fs_command
        self._fs: socket.socket | None = None
        self._fs_process: subprocess.Popen[bytes] | None = None
        self._children: dict[int, Child] = {}
        self._spare: Spare | None = None

    def serve(self) -> None:
        """Take requests and reap children; returns when the owner closed its end and all builds ended."""
        self._start_file_systems()
        while True:
            poll = select.poll()
            poll.register(self._owner, select.POLLIN)
            if self._fs is not None:
                poll.register(self._fs, 0)
            for pidfd in self._children:
                poll.register(pidfd, select.POLLIN)
            ready = dict(poll.poll(_REAP_INTERVAL if self._spare is not None else _AHEAD))
            if not ready and self._spare is None:
                self._fork_ahead()
            if self._fs is not None and self._fs.fileno() in ready:
                self._stop_file_systems()
            for pidfd in self._children.keys() & ready.keys():
                self._bury(self._children.pop(pidfd))
            if self._owner.fileno() in ready:
                received = receive(self._owner)
                if received is None:
                    break
                self._take(*received)
            self._reap_strangers()
        self._stop_file_systems()
        while self._children:
            _, child = self._children.popitem()
            self._bury(child)

    def _take(self, message: Message, fds: list[int]) -> None:
        if message["op"] == "farewell":
            self._note("farewell")
            return
        run = socket.socket(fileno=fds[0])
        if message["op"] == "build":
            if self._fs is None and message["view"] is not None:
                self._start_file_systems()
            bundle, cgroup = message["bundle"], message["cgroup"]
            self._note("lease", bundle, cgroup or "")
            pid = self._hand_over(message, run) or self._fork(Supervisor(message, run, self._fs).live)
            self._know(pid, run, bundle, cgroup)
            return
        if message["op"] == "place":
            with run:
                self._note("place", message["prefix"], message["cgroup_prefix"])
                send(run, {"problems": []})
            return
        work = {"remove": _remove_all, "adopt": _adopt_all}[message["op"]]
        self._know(self._fork(lambda: work(message, run)), run)

    def _note(self, *fields: str) -> None:
        """Tell outer what to delete should this process not come to it."""
        os.write(self._leases, ("\0".join(fields) + "\n").encode("utf-8", "surrogateescape"))

    def _fork_ahead(self) -> None:
        """Have a supervisor ready for the next build: forking is a tenth of what a small build takes."""
        task, theirs = channel()
        self._spare = Spare(self._fork(lambda: self._await_task(task, theirs)), task)
        theirs.close()

    def _await_task(self, task: socket.socket, theirs: socket.socket) -> None:
        task.close()
        linux.call_process("tvixbuild-spare")
        received = receive(theirs)
        theirs.close()
        if received is not None:
            Supervisor(received[0], socket.socket(fileno=received[1][0]), self._fs).live()

    def _hand_over(self, message: Message, run: socket.socket) -> int | None:
        """Give the plan to the supervisor forked ahead; its pid, or None when there is none (or it died)."""
        spare, self._spare = self._spare, None
        if spare is None:
            return None
        with spare.task:
            try:
                send(spare.task, message, [run.fileno()])
            except (BrokenPipeError, ConnectionResetError):
                os.waitpid(spare.pid, 0)
                return None
        return spare.pid

    def _dismiss_spare(self) -> None:
        spare, self._spare = self._spare, None
        if spare is not None:
            spare.task.close()
            os.waitpid(spare.pid, 0)

    def _know(self, pid: int, run: socket.socket, bundle: str | None = None, cgroup: str | None = None) -> None:
        child = Child(pid, os.pidfd_open(pid), run, bundle, cgroup)
        self._children[child.pidfd] = child

    def _fork(self, work: Callable[[], None]) -> int:
        pid = os.fork()
        if pid:
            return pid
        status = 1
        try:
            linux.set_parent_death_signal(signal.SIGKILL)
            self._owner.close()
            for other in self._children.values():
                # Or another run's owner would not see its end while this one lives.
                other.run.close()
            work()
            status = 0
        except BaseException:
            # The last thing this process does: its words reach the owner through the keeper's stderr.
            traceback.print_exc()
        finally:
            os._exit(status)

    def _bury(self, child: Child) -> None:
        """Wait for a child; when it did not end by itself, undo what it can no longer undo."""
        _, status = os.waitpid(child.pid, 0)
        os.close(child.pidfd)
        with child.run:
            if status != 0 and child.bundle is not None:
                self._kill_strangers()
                with contextlib.suppress(OSError):
                    linux.umount(os.path.join(child.bundle, "inputs"))
                if child.cgroup is not None:
                    BuildCgroup(child.cgroup).remove()

    def _known(self) -> set[int]:
        known = {child.pid for child in self._children.values()}
        if self._spare is not None:
            known.add(self._spare.pid)
        return known if self._fs_process is None else known | {self._fs_process.pid}

    def _strangers(self) -> list[int]:
        """Orphans that became ours: what a dead supervisor left."""
        return [pid for pid in children_of(os.getpid()) if pid not in self._known()]

    def _kill_strangers(self) -> None:
        # Killing one makes its children ours, too. And the first process of a container ends only after those were
        # waited for who came into it from outside, strangers themselves: so nobody is waited for before the others.
        while strangers := self._strangers():
            for pid in strangers:
                os.kill(pid, signal.SIGKILL)
            for pid in strangers:
                os.waitpid(pid, os.WNOHANG)
            time.sleep(_REAPING)

    def _reap_strangers(self) -> None:
        for pid in self._strangers():
            os.waitpid(pid, os.WNOHANG)

    def _start_file_systems(self) -> None:
        if self._fs_command is None:
            return
        ours, theirs = channel()
        with theirs:
            self._fs_process = subprocess.Popen(
                [*self._fs_command, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self._fs = ours

    def _stop_file_systems(self) -> None:
        # The one forked ahead holds the socket of the server that ends now.
        self._dismiss_spare()
        if self._fs is not None:
            self._fs.close()
            self._fs = None
        if self._fs_process is not None:
            self._fs_process.wait()
            self._fs_process = None


def _remove_all(message: Message, run: socket.socket) -> None:
    _answer_each(message, run, remove)


def _adopt_all(message: Message, run: socket.socket) -> None:
    _answer_each(message, run, lambda path: adopt(path, 0, 0))


def _answer_each(message: Message, run: socket.socket, work: Callable[[str], None]) -> None:
    problems = []
    for path in message["paths"]:
        try:
            work(path)
        except OSError as error:
            problems.append(f"{error.filename or path}: {error.strerror}")
    send(run, {"problems": problems})


def begin(owner: socket.socket, leases: int, config: Message) -> None:
    """Life of the inner process, after the fork: namespaces finished, owner told, requests served."""
    linux.set_parent_death_signal(signal.SIGKILL)
    linux.call_process("tvixbuild-inner")
    if config["namespaces"]:
        try:
            _finish_namespaces()
        except OSError as error:
            send(owner, {"refused": f"{error.filename}: {error.strerror}", "kind": "namespaces"})
            return
    else:
        linux.become_subreaper()
    send(owner, {"ready": os.getpid(), "namespaces": config["namespaces"], "cgroups": why_not()})
    Inner(owner, leases, config["fs_command"]).serve()


def _finish_namespaces() -> None:
    # A second mount namespace: outer must not see what is mounted here, so that its deleting can
    # never follow a mount into somebody's files.
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
    where = hierarchies()
    if where.hybrid and where.v2 is not None:
        # crun refuses hybrid hosts unless it cannot see the version 2 side; runc does not mind.
        with contextlib.suppress(PermissionError):
            linux.mount("tmpfs", where.v2, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
