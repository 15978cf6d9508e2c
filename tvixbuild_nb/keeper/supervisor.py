"""One build, from its mounted inputs to the last trace of its container: a process of its own.

Forked by ``inner`` per build. It writes the log, enforces the time limit, and tells the owner what
happened by messages on the run's socket; all waiting is bounded, and the owner never has to read.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from tvixbuild_nb.keeper import linux
from tvixbuild_nb.keeper.cgroups import BuildCgroup
from tvixbuild_nb.keeper.inspect import catches, inside, other_processes
from tvixbuild_nb.keeper.joining import JoinAhead
from tvixbuild_nb.keeper.log import LogWriter
from tvixbuild_nb.keeper.messages import Message
from tvixbuild_nb.keeper.output import Output
from tvixbuild_nb.keeper.ownerline import OwnerLine
from tvixbuild_nb.keeper.processors import limit_processors
from tvixbuild_nb.keeper.runtime import Runtime, last_error
from tvixbuild_nb.keeper.sampling import Sampler
from tvixbuild_nb.keeper.trees import adopt, remove
from tvixbuild_nb.keeper.views import MountedInputs, PendingView, ViewFailed, ask_for_view, bind_shared_view

KILL_PATIENCE = 5.0
DRAIN_PATIENCE = 2.0
LAUNCH_PATIENCE = 1.0
FULL = 1 << 16


def _is_full(path: str) -> bool:
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize < FULL


class SetupProblem(Exception):
    """The sandbox could not be set up; becomes the ``exited`` message's ``setup_error``."""

    def __init__(self, message: str, hint: str | None = None, stage: str = "run", *, view_died: bool = False) -> None:
        super().__init__(message)
        self.hint = hint
        self.stage = stage
        self.view_died = view_died


@contextlib.contextmanager
def _views_may_fail() -> Iterator[None]:
    try:
        yield
    except ViewFailed as failed:
        text = f"inputs could not be mounted: {failed}"
        raise SetupProblem(text, failed.hint, "mount", view_died=failed.died) from failed


class Supervisor:
    """Runs one build as ``plan`` says; the plan's keys are documented in ``client.BuildPlan``."""

    def __init__(self, plan: Message, owner: socket.socket, file_systems: socket.socket | None) -> None:
        self.plan = plan
        self.owner = OwnerLine(owner)
        self.file_systems = file_systems
        self.bundle: str = plan["bundle"]
        self.container: str = plan["container"]
        self.runtime = Runtime.from_message(plan["runtime"])
        self.runtime_log = os.path.join(self.bundle, "runtime.log")
        self.cgroup = BuildCgroup(plan["cgroup"]) if plan["cgroup"] else None
        self.joining: JoinAhead | None = None
        self.view: MountedInputs | None = None
        self.output: Output | None = None
        self.init: int | None = None
        self.reaped = False
        self.runtime_killed = False
        self.problems: list[str] = []
        self.usage: dict[str, Any] = {}

    def live(self) -> None:
        """The life of a build inside the keeper; never raises."""
        linux.call_process("tvixbuild-build")
        linux.become_subreaper()
        log = LogWriter(self.plan["log"], self.plan["index"])
        try:
            try:
                view = self._ask_for_view()
                self._make_cgroup()
                self._await_view(view)
                self._await_bundle()
                self._hand_over_scratch()
                ended = self._run(log)
            except SetupProblem as problem:
                ended = {
                    "setup_error": str(problem),
                    "hint": problem.hint,
                    "stage": problem.stage,
                    "view_died": problem.view_died,
                }
            except OSError as error:
                ended = {"setup_error": f"{error.filename or 'keeper'}: {error.strerror}", "hint": None}
            if log.error is not None:
                self.problems.append(f"log: {log.lost} bytes were lost: {log.error}")
        finally:
            log.close()
        self.owner.tell(
            {"event": "exited", "stopped": self.owner.stopped, "usage": self.usage, "log_size": log.size, **ended}
        )
        self._adopt_outputs()
        # From here on the owner may ingest, while the rest is taken away.
        self.owner.tell({"event": "settled"})
        left = self._delete_container()
        faults = self._finish_view()
        self.owner.tell({"event": "gone", "left": left, "problems": self.problems, "faults": faults})
        if self.cgroup is not None:
            self.cgroup.remove()
        self._await_farewell()

    # -- before ------------------------------------------------------------------------------

    def _ask_for_view(self) -> PendingView | None:
        """Have the inputs mounted, beside whatever comes next; a shared view is there at once."""
        wanted = self.plan["view"]
        if wanted is None:
            return None
        if self.file_systems is None:
            raise SetupProblem("the file system process could not be started", stage="mount", view_died=True)
        mountpoint = os.path.join(self.bundle, "inputs")
        request = {"view": wanted["spec"], **{key: wanted[key] for key in ("store", "trace", "allow_other")}}
        with _views_may_fail():
            if wanted["shared"] is None:
                return ask_for_view(self.file_systems, request, mountpoint)
            self.view = bind_shared_view(self.file_systems, request, wanted["shared"], wanted["home"], mountpoint)
        return None

    def _await_view(self, pending: PendingView | None) -> None:
        if pending is not None:
            with _views_may_fail():
                self.view = pending.ready()
        self.owner.tell({"event": "mounted"})

    def _await_bundle(self) -> None:
        """The owner fills the bundle while the view is mounted: go on when it says so."""
        poll = select.poll()
        poll.register(self.owner, select.POLLIN)
        while not self.owner.complete:
            poll.poll()
            self.owner.listen()
            if self.owner.stopped is not None:
                raise SetupProblem(f"stopped while the sandbox was set up: {self.owner.stopped}")

    def _hand_over_scratch(self) -> None:
        if self.plan["seeded"] and self.plan["adopt"] and self.plan["user"]:
            adopt(os.path.join(self.bundle, "scratch"), *self.plan["user"])
        try:
            for relative, uid, gid in self.plan["own"]:
                os.chown(os.path.join(self.bundle, relative), uid, gid, follow_symlinks=False)
        except PermissionError:
            # Without a user namespace of its own the keeper may not; the build's capabilities let it
            # write there all the same.
            self.problems.append("ownership: scratch directories belong to the sandbox's root, not to its user")

    def _make_cgroup(self) -> None:
        if self.cgroup is None:
            return
        try:
            self.cgroup.create()
        except OSError as error:
            raise SetupProblem(f"no cgroup for the build: {error.strerror}: {error.filename}") from error
        self.joining = JoinAhead()

    # -- the run -----------------------------------------------------------------------------

    def _run(self, log: LogWriter) -> Message:
        started = time.time()
        clock = time.monotonic()
        timeout = self.plan["timeout"]
        deadline = None if timeout is None else clock + timeout
        self.output = Output(self.plan["terminal"], self.bundle, self.plan["user"], log)
        try:
            error = self._launch(deadline)
            if self.joining is not None:
                self.joining.end()
            if self.init is None:
                self.output.drain(time.monotonic() + DRAIN_PATIENCE)
                return {
                    "setup_error": error or "the runtime ended before the container was there",
                    "hint": None,
                    "runtime_killed": self.runtime_killed,
                }
            self.owner.tell({"event": "started", "time": started})
            self._watch(deadline)
            ended = self._reap()
            self.output.drain(time.monotonic() + DRAIN_PATIENCE)
        finally:
            self.output.close()
        self.usage["wall"] = time.monotonic() - clock
        return {**ended, "runtime_error": error}

    def _launch(self, deadline: float | None) -> str | None:
        """Start the container, detached; sets ``init`` when it came to be. The runtime's error or None."""
        assert self.output is not None
        pid_file = os.path.join(self.bundle, "init.pid")
        options = ["--bundle", self.bundle, "--pid-file", pid_file, *self.output.options]
        looks, processors = self.plan["observe"], self.plan["processors"]
        verb = ["create"] if looks or processors else ["run", "-d"]
        error = self._call([*verb, *options, self.container], deadline)
        with contextlib.suppress(FileNotFoundError, ValueError), open(pid_file, encoding="ascii") as file:
            self.init = int(file.read())
        if error is not None and not linux.is_child(self.init):
            self.init = None
        if error is None and self.init is not None and verb == ["create"] and self.owner.stopped is None:
            if processors and (why := limit_processors(self.init, processors)):
                self.problems.append(f"processors: {why}")
            if looks:
                found = inside(self.init)
                with open(looks, "w", encoding="utf-8", errors="surrogateescape") as file:
                    json.dump(found, file)
            error = self._call(["start", self.container], deadline)
        self.output.close_theirs()
        return error

    def _call(self, arguments: list[str], deadline: float | None) -> str | None:
        """One call of the runtime while output flows; None, or why it failed."""
        assert self.output is not None
        command = self.runtime.command(self.runtime_log, *arguments)
        try:
            process = self.runtime.start(command, self.output.stdout, self.output.stderr, self.bundle)
        except OSError as error:
            raise SetupProblem(f"{self.runtime.path}: {error.strerror}", "install the runtime") from error
        pidfd = os.pidfd_open(process.pid)
        try:
            while process.poll() is None:
                self._turn(pidfd, deadline)
                if self.owner.stopped is not None and not self._finishes(pidfd):
                    process.kill()
                    process.wait()
                    return f"stopped while the sandbox was set up: {self.owner.stopped}"
        finally:
            os.close(pidfd)
        if process.returncode == 0:
            return None
        if process.returncode < 0:
            self.runtime_killed = True
            return f"{self.runtime.kind} was killed by {signal.Signals(-process.returncode).name}"
        words = last_error(self.runtime_log) or f"{self.runtime.kind} ended with status {process.returncode}"
        # On a full disk the runtime says "unexpected EOF" at best: its own files were cut short.
        return f"{words}: {self.bundle}: {os.strerror(errno.ENOSPC)}" if _is_full(self.bundle) else words

    def _finishes(self, pidfd: int) -> bool:
        """Whether the runtime is done in a moment: the command may run already, and then is to be asked to end."""
        assert self.output is not None
        patience = LAUNCH_PATIENCE if self.owner.stopped in ("cancelled", "timed-out") else 0.0
        until = time.monotonic() + patience
        while not linux.has_ended(pidfd) and time.monotonic() < until:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            self.output.register(poll)
            self.output.take(dict(poll.poll(20)))
        return linux.has_ended(pidfd)

    def _watch(self, deadline: float | None) -> None:
        """Until the container's first process ended, by itself or because we stopped it."""
        assert self.init is not None
        sampler = Sampler(self.plan["sample"], self.cgroup)
        pidfd = os.pidfd_open(self.init)
        try:
            while not linux.has_ended(pidfd):
                if self.owner.stopped is not None:
                    self._stop(pidfd)
                    return
                self._turn(pidfd, deadline, sampler.left())
                sampler.take(self.init)
        finally:
            os.close(pidfd)

    def _turn(self, pidfd: int, deadline: float | None, patience: float = math.inf) -> None:
        """Wait ``patience`` seconds for whatever comes first: output, a word of the owner, an end, the time."""
        assert self.output is not None
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.register(self.owner, select.POLLIN)
        if self.view is not None:
            poll.register(self.view, select.POLLIN)
        self.output.register(poll)
        left = patience if deadline is None else min(patience, max(0.0, deadline - time.monotonic()))
        ready = dict(poll.poll(None if left == math.inf else left * 1000))
        self.output.take(ready)
        if self.owner.fileno() in ready:
            self.owner.listen()
        if self.view is not None and self.view.fileno() in ready:
            self.owner.stop("view-died")
        if deadline is not None and time.monotonic() >= deadline:
            self.owner.stop("timed-out")

    def _stop(self, pidfd: int) -> None:
        """End the container: ask everybody in it once, wait for the grace, then kill init and so all of it."""
        assert self.init is not None and self.output is not None
        grace = time.monotonic() + (self.plan["grace"] if self.owner.stopped in ("cancelled", "timed-out") else 0)
        # The first process of a pid namespace hears of a SIGTERM only when it has a handler for it.
        patient = catches(self.init, signal.SIGTERM)
        for pid in [*other_processes(self.init), *([self.init] if patient else [])]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        while time.monotonic() < grace and not linux.has_ended(pidfd) and (patient or other_processes(self.init)):
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            self.output.register(poll)
            self.output.take(dict(poll.poll(20)))
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.init, signal.SIGKILL)
        if not linux.has_ended(pidfd, KILL_PATIENCE) and self.view is not None:
            # A process that hangs in a file-system request dies only when the server does.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.view.pid, signal.SIGKILL)
            linux.has_ended(pidfd, KILL_PATIENCE)

    def _reap(self) -> Message:
        assert self.init is not None
        poll_started = time.monotonic()
        executed = not linux.never_executed(self.init)
        pid, status, resources = os.wait4(self.init, os.WNOHANG)
        while pid == 0 and time.monotonic() - poll_started < KILL_PATIENCE:
            time.sleep(0.01)
            pid, status, resources = os.wait4(self.init, os.WNOHANG)
        if pid == 0:
            raise SetupProblem("the container's first process cannot be killed")
        self.reaped = True
        if self.view is not None:
            # Nobody looks into it any more.
            self.view.unmount()
        self.usage.update(
            cpu_user=resources.ru_utime, cpu_system=resources.ru_stime, peak_memory_process=resources.ru_maxrss * 1024
        )
        if self.cgroup is not None:
            self.usage["cgroup"] = self.cgroup.usage()
        code = os.waitstatus_to_exitcode(status)
        return {
            "executed": executed,
            "exit_code": code if code >= 0 else None,
            "signal": -code if code < 0 else None,
        }

    # -- after -------------------------------------------------------------------------------

    def _finish_view(self) -> list[str]:
        if self.view is None:
            return []
        problem = self.view.finish()
        if problem is not None and self.owner.stopped != "view-died":
            self.problems.append(problem)
        return self.view.faults

    def _adopt_outputs(self) -> None:
        if not self.owner.complete:
            return  # nothing was handed over yet, and the owner may still be filling the bundle
        ids = self.plan["adopt"]
        if ids is not None:
            try:
                adopt(os.path.join(self.bundle, "scratch"), ids[0], ids[1])
            except OSError as error:
                self.problems.append(f"outputs may be unreadable: {error.filename}: {error.strerror}")
        janitor = self.plan["janitor"]
        if janitor is not None:
            arguments = self.runtime.command(self.runtime_log, "run", "--bundle", janitor, f"{self.container}-janitor")
            done = self.runtime.start(arguments, subprocess.DEVNULL, subprocess.DEVNULL, janitor)
            if done.wait() != 0:
                self.problems.append(f"outputs may be unreadable: {last_error(self.runtime_log)}")

    def _delete_container(self) -> str | None:
        """Undo what the runtime made; None, or what is left in words.

        Once the container's first process was reaped, its processes, mounts and namespaces are gone by
        the kernel's hand, and what a `delete` would still remove is ours: the cgroup, and the state directory,
        which goes with the bundle. That spares a process per build. A container that never came so far is the
        runtime's.
        """
        if self.reaped:
            return None
        try:
            return self.runtime.delete(self.container, self.runtime_log)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)

    def _await_farewell(self) -> None:
        """Wait until the owner has no further use of this build, and remove the bundle when it says so.

        Nobody waits for that: the run is over, and what is left are directories.
        """
        while (received := self.owner.hear()) is not None:
            if received["op"] == "discard":
                remove(self.bundle)
                return
