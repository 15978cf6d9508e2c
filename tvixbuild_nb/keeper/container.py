"""One container, from the runtime's first call until its first process is reaped."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import select
import signal
import time
from typing import Any

from tvixbuild_nb.keeper import linux
from tvixbuild_nb.keeper.cgroups import BuildCgroup
from tvixbuild_nb.keeper.deadlines import Deadlines
from tvixbuild_nb.keeper.door import Door
from tvixbuild_nb.keeper.inspect import catches, inside, other_processes
from tvixbuild_nb.keeper.joining import JoinAhead
from tvixbuild_nb.keeper.messages import Message
from tvixbuild_nb.keeper.output import Output
from tvixbuild_nb.keeper.ownerline import GRACEFUL, OwnerLine
from tvixbuild_nb.keeper.processes import processes
from tvixbuild_nb.keeper.processors import limit_processors
from tvixbuild_nb.keeper.runtime import Runtime, last_error
from tvixbuild_nb.keeper.sampling import Sampler
from tvixbuild_nb.keeper.views import MountedInputs

KILL_PATIENCE = 5.0
DRAIN_PATIENCE = 2.0
LAUNCH_PATIENCE = 1.0
FULL = 1 << 16


class SetupProblem(Exception):
    """The sandbox could not be set up; becomes the ``exited`` message's ``setup_error``."""

    def __init__(self, message: str, hint: str | None = None, stage: str = "run", *, view_died: bool = False) -> None:
        super().__init__(message)
        self.hint = hint
        self.stage = stage
        self.view_died = view_died


class Container:
    """The container of ``plan`` (its keys: ``client.BuildPlan``), made when everything it is made of is in place.

    ``problems``: what it had to do without; ``usage``: what it used; ``reaped``: whether its first process is no more.
    """

    def __init__(
        self, plan: Message, owner: OwnerLine, output: Output, view: MountedInputs | None, cgroup: BuildCgroup | None
    ) -> None:
        self.problems: list[str] = []
        self.usage: dict[str, Any] = {}
        self.reaped = False
        self._plan = plan
        self._owner = owner
        self._output = output
        self._view = view
        self._cgroup = cgroup
        self._bundle: str = plan["bundle"]
        self._runtime = Runtime.from_message(plan["runtime"])
        self._runtime_log = os.path.join(self._bundle, "runtime.log")
        self._deadlines = Deadlines(plan["timeout"], plan["silent_timeout"])
        self._door: Door | None = None
        self._init: int | None = None
        self._runtime_killed = False

    def live(self, joining: JoinAhead | None) -> Message:
        """The life of the container; how it ended, as a part of the ``exited`` message."""
        started = time.time()
        clock = time.monotonic()
        try:
            self._door = Door(self._plan)
        except OSError as error:
            self.problems.append(f"door: nobody can enter this sandbox: {error.strerror}")
        try:
            ended = self._run(joining, started)
        finally:
            if self._door is not None:
                self._door.close()
        if self._init is not None:
            self.usage["wall"] = time.monotonic() - clock
        return ended

    def _run(self, joining: JoinAhead | None, started: float) -> Message:
        error = self._launch()
        if joining is not None:
            joining.end()
        if self._init is None:
            self._output.drain(time.monotonic() + DRAIN_PATIENCE)
            return {
                "setup_error": error or "the runtime ended before the container was there",
                "hint": None,
                "runtime_killed": self._runtime_killed,
            }
        self._owner.tell({"event": "started", "time": started})
        if self._door is not None:
            self._door.open(self._init)
        self._watch()
        if self._door is not None:
            # Before it is reaped: no other process may have its number while somebody is seen out.
            self._door.close()
        ended = self._reap()
        self._output.drain(time.monotonic() + DRAIN_PATIENCE)
        return {**ended, "runtime_error": error}

    # -- launching -------------------------------------------------------------------------------

    def _launch(self) -> str | None:
        """Start the container, detached; sets ``_init`` when it came to be. The runtime's error or None."""
        pid_file = os.path.join(self._bundle, "init.pid")
        options = ["--bundle", self._bundle, "--pid-file", pid_file, *self._output.options]
        held, observed, processors = (self._plan[name] for name in ("hold", "observe", "processors"))
        verb = ["create"] if held or observed or processors else ["run", "-d"]
        error = self._call([*verb, *options, self._plan["container"]])
        with contextlib.suppress(FileNotFoundError, ValueError), open(pid_file, encoding="ascii") as file:
            self._init = int(file.read())
        if error is not None and not linux.is_child(self._init):
            self._init = None
        if error is None and self._init is not None and verb == ["create"] and self._owner.stopped is None:
            if processors and (why := limit_processors(self._init, processors)):
                self.problems.append(f"processors: {why}")
            if observed:
                found = inside(self._init)
                with open(observed, "w", encoding="utf-8", errors="surrogateescape") as file:
                    json.dump(found, file)
            if not held:
                error = self._call(["start", self._plan["container"]])
        self._output.close_theirs()
        return error

    def _call(self, arguments: list[str]) -> str | None:
        """One call of the runtime while output flows; None, or why it failed."""
        command = self._runtime.command(self._runtime_log, *arguments)
        try:
            process = self._runtime.start(command, self._output.stdout, self._output.stderr, self._bundle)
        except OSError as error:
            raise SetupProblem(f"{self._runtime.path}: {error.strerror}", "install the runtime") from error
        pidfd = os.pidfd_open(process.pid)
        try:
            while process.poll() is None:
                self._turn(pidfd)
                if self._owner.stopped is not None and not self._finishes(pidfd):
                    process.kill()
                    process.wait()
                    return f"stopped while the sandbox was set up: {self._owner.stopped}"
        finally:
            os.close(pidfd)
        if process.returncode == 0:
            return None
        if process.returncode < 0:
            self._runtime_killed = True
            return f"{self._runtime.kind} was killed by {signal.Signals(-process.returncode).name}"
        words = last_error(self._runtime_log) or f"{self._runtime.kind} ended with status {process.returncode}"
        # On a full disk the runtime says "unexpected EOF" at best: its own files were cut short.
        return f"{words}: {self._bundle}: {os.strerror(errno.ENOSPC)}" if _is_full(self._bundle) else words

    def _finishes(self, pidfd: int) -> bool:
        """Whether the runtime is done in a moment: the command may run already, and then is to be asked to end."""
        until = time.monotonic() + (LAUNCH_PATIENCE if self._owner.stopped in GRACEFUL else 0.0)
        while not linux.has_ended(pidfd) and time.monotonic() < until:
            self._wait_a_moment(pidfd)
        return linux.has_ended(pidfd)

    # -- running ---------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Until the container's first process ended, by itself or because we stopped it."""
        assert self._init is not None
        sampler = Sampler(self._plan["sample"], self._cgroup)
        pidfd = os.pidfd_open(self._init)
        self._deadlines.listen()
        try:
            while not linux.has_ended(pidfd):
                if self._owner.stopped is not None:
                    self._stop(pidfd)
                    return
                self._turn(pidfd, sampler.left())
                sampler.take(self._init)
        finally:
            os.close(pidfd)

    def _turn(self, pidfd: int, patience: float = math.inf) -> None:
        """Wait ``patience`` seconds for what comes first: output, a word of the owner, a visitor, an end, the time."""
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.register(self._owner, select.POLLIN)
        if self._view is not None:
            poll.register(self._view, select.POLLIN)
        if self._door is not None:
            self._door.register(poll)
        self._output.register(poll)
        left = min(patience, self._deadlines.left())
        ready = dict(poll.poll(None if left == math.inf else left * 1000))
        if self._output.take(ready):
            self._deadlines.listen()
        if self._door is not None:
            self._door.take(ready)
            if self._door.occupied:
                # Who is inside to look around need not hurry because the build says nothing meanwhile.
                self._deadlines.listen()
        if self._owner.fileno() in ready:
            self._owner.listen()
        if self._view is not None and self._view.fileno() in ready:
            self._owner.stop("view-died")
        passed = self._deadlines.passed()
        if passed is not None:
            self._owner.stop(passed)

    def _stop(self, pidfd: int) -> None:
        """End the container: ask everybody in it once, wait for the grace, then kill init and so all of it."""
        assert self._init is not None
        if self._owner.stopped in ("timed-out", "silent"):
            self._note_processes()
        grace = time.monotonic() + (self._plan["grace"] if self._owner.stopped in GRACEFUL else 0)
        # The first process of a pid namespace hears of a SIGTERM only when it has a handler for it.
        patient = catches(self._init, signal.SIGTERM)
        for pid in [*other_processes(self._init), *([self._init] if patient else [])]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        while time.monotonic() < grace and not linux.has_ended(pidfd) and (patient or other_processes(self._init)):
            self._wait_a_moment(pidfd)
        if self._door is not None:
            # Nobody may be left whose parent is outside: the first process would wait for them.
            self._door.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._init, signal.SIGKILL)
        if not linux.has_ended(pidfd, KILL_PATIENCE) and self._view is not None:
            # A process that hangs in a file-system request dies only when the server does.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._view.pid, signal.SIGKILL)
            linux.has_ended(pidfd, KILL_PATIENCE)

    def _wait_a_moment(self, pidfd: int) -> None:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        self._output.register(poll)
        self._output.take(dict(poll.poll(20)))

    def _note_processes(self) -> None:
        """Who waited for what when time was up: nobody can ask afterwards."""
        assert self._init is not None
        try:
            with open(self._plan["processes"], "w", encoding="ascii") as file:
                json.dump({"time": time.time(), "processes": processes(self._init)}, file)
        except OSError as error:
            self.problems.append(f"processes: they could not be recorded: {error.strerror}")

    def _reap(self) -> Message:
        assert self._init is not None
        poll_started = time.monotonic()
        executed = not linux.never_executed(self._init)
        pid, status, resources = os.wait4(self._init, os.WNOHANG)
        while pid == 0 and time.monotonic() - poll_started < KILL_PATIENCE:
            time.sleep(0.01)
            pid, status, resources = os.wait4(self._init, os.WNOHANG)
        if pid == 0:
            raise SetupProblem("the container's first process cannot be killed")
        self.reaped = True
        if self._view is not None:
            # Nobody looks into it any more.
            self._view.unmount()
        self.usage.update(
            cpu_user=resources.ru_utime, cpu_system=resources.ru_stime, peak_memory_process=resources.ru_maxrss * 1024
        )
        if self._cgroup is not None:
            self.usage["cgroup"] = self._cgroup.usage()
        code = os.waitstatus_to_exitcode(status)
        return {
            "executed": executed,
            "exit_code": code if code >= 0 else None,
            "signal": -code if code < 0 else None,
        }


def _is_full(path: str) -> bool:
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize < FULL
