"""One build, from its mounted inputs to the last trace of its container: a process of its own.

Forked by ``inner`` per build. It writes the log, enforces the time limit, and tells the owner what
happened by messages on the run's socket; all waiting is bounded, and the owner never has to read.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

from tvixbuild_nb.keeper import linux
from tvixbuild_nb.keeper.cgroups import BuildCgroup
from tvixbuild_nb.keeper.container import Container, SetupProblem
from tvixbuild_nb.keeper.joining import JoinAhead
from tvixbuild_nb.keeper.log import LogWriter
from tvixbuild_nb.keeper.messages import Message
from tvixbuild_nb.keeper.output import Output
from tvixbuild_nb.keeper.ownerline import OwnerLine
from tvixbuild_nb.keeper.runtime import Runtime, last_error
from tvixbuild_nb.keeper.trees import adopt, give, remove
from tvixbuild_nb.keeper.views import MountedInputs, PendingView, ViewFailed, ask_for_view, bind_shared_view


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
        self.runtime = Runtime.from_message(plan["runtime"])
        self.runtime_log = os.path.join(self.bundle, "runtime.log")
        self.cgroup = BuildCgroup(plan["cgroup"]) if plan["cgroup"] else None
        self.joining: JoinAhead | None = None
        self.view: MountedInputs | None = None
        self.container: Container | None = None
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
                # What a build has left may lack some of it, or lead elsewhere.
                with (
                    contextlib.suppress(FileNotFoundError, NotADirectoryError) if self.plan["seeded"] else nullcontext()
                ):
                    give(self.bundle, relative, uid, gid)
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
        output = Output(self.plan["terminal"], self.bundle, self.plan["user"], log)
        self.container = Container(self.plan, self.owner, output, self.view, self.cgroup)
        try:
            return self.container.live(self.joining)
        finally:
            output.close()
            self.usage = self.container.usage
            self.problems.extend(self.container.problems)

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
            arguments = self.runtime.command(
                self.runtime_log, "run", "--bundle", janitor, f"{self.plan['container']}-janitor"
            )
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
        if self.container is not None and self.container.reaped:
            return None
        try:
            return self.runtime.delete(self.plan["container"], self.runtime_log)
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
