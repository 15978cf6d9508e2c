"""The life of one build on this host's OCI runtime, stage by stage; :meth:`OCIBuild.live` is the conductor."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvixbuild_nb.build.events import FailedAt, Status
from tvixbuild_nb.build.janitor import make_janitor
from tvixbuild_nb.build.outputs import MissingOutputs, ingest_outputs, written_paths
from tvixbuild_nb.build.plan import PlannedBuild
from tvixbuild_nb.build.result import BuildOutput, BuildResult, Usage
from tvixbuild_nb.build.service import BuildContext
from tvixbuild_nb.castore import Castore, copy_closure, open_castore
from tvixbuild_nb.errors import (
    Cancelled,
    CastoreError,
    HostRefused,
    KeeperError,
    OutputError,
    TvixBuildError,
)
from tvixbuild_nb.fs import checkout, view_description
from tvixbuild_nb.keeper import RunChannel
from tvixbuild_nb.keeper.cgroups import BuildCgroup
from tvixbuild_nb.keeper.client import BuildPlan, RuntimePlan, ViewPlan
from tvixbuild_nb.keeper.trees import remove
from tvixbuild_nb.oci import Bundle
from tvixbuild_nb.request import BuildRequest

if TYPE_CHECKING:
    from tvixbuild_nb.build.oci import OCIBuildService

# What runc and crun say when everything was set up and only the program itself could not be started.
_EXEC_TEXTS = re.compile(r'exec: "|executable file|open executable|exec user process|execve')
_WORDLESS = re.compile(r"\w+ ended with status \d+")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the build ended, before anything about its surroundings.

    ``killed``: something that serves the build was killed, which is no failure in the sense of ``keep``.
    """

    status: Status
    failed_at: FailedAt | None = None
    exit_code: int | None = None
    signal: int | None = None
    message: str | None = None
    hint: str | None = None
    written: tuple[str, ...] | None = None
    killed: bool = False


class Ended(Exception):
    """The build is decided; later stages are left out."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.message or verdict.status)
        self.message = verdict.message
        self.verdict = verdict


class OCIBuild:
    """One build of an :class:`OCIBuildService`."""

    def __init__(self, service: OCIBuildService, request: BuildRequest, context: BuildContext) -> None:
        self.service = service
        self.request = request
        self.context = context
        self.policy = context.policy
        self.record = context.record
        self.degraded: list[str] = []
        self.usage: dict[str, Any] = {}
        self.outputs: tuple[BuildOutput, ...] = ()
        self.inputs_by: str | None = None
        self.bundle: Bundle | None = None
        self.kept: Path | None = None
        self._channel: RunChannel | None = None
        self._exit: dict[str, Any] | None = None
        self._keeper_died = False
        self._filled = False
        self._faults: list[str] = []
        self._early: list[dict[str, Any]] = []

    def live(self) -> BuildResult:
        """The life of a build; returns its result, raises only while nothing has been started."""
        context, started = self.context, time.time()
        with context.stage("request"):
            self._accept_request()
        with context.stage("render"):
            plan = self._render()
        context.accept()
        try:
            with context.stage("queue"):
                self.service.take_turn(context)
            try:
                with context.stage("bundle"):
                    self._make_bundle(plan)
                with context.stage("mount"):
                    self._mount(plan)
                with context.stage("run"):
                    self._run()
                with context.stage("ingest"):
                    verdict = self._ingest(plan)
                self._clear_ahead(verdict)
            finally:
                try:
                    self._await_gone()
                finally:
                    self.service.end_turn()
        except Ended as ended:
            verdict = ended.verdict
        except Cancelled as cancelled:
            verdict = Verdict("cancelled", message=cancelled.message)
        except TvixBuildError as error:
            text = _with_place(error)
            verdict = Verdict("failed", "setup", message=text, hint=error.hint, killed=self._keeper_died)
        except OSError as error:
            verdict = Verdict("failed", "setup", message=_system_words(error), hint=_HINTS.get(error.errno or 0))
        except BaseException:
            # A defect of ours, or an interrupt: nothing stays behind all the same.
            self._clean(plan, Verdict("cancelled"))
            raise
        verdict = self._blame_inputs(verdict)
        with context.stage("clean"):
            self._clean(plan, verdict)
        with context.stage("result"):
            result = self._result(plan, verdict, started)
        return context.end(result)

    # -- before anything is started -------------------------------------------------------------

    def _accept_request(self) -> None:
        self.record.write_request(self.request)
        self.service.check_inputs(self.request)

    def _render(self) -> PlannedBuild:
        plan = self.service.plan(self.request, self.policy)
        if self.policy.strict and plan.degraded:
            raise HostRefused(
                f"strict: this run would have to do without {'; '.join(plan.degraded)}",
                stage="render",
                hint="run it without strict=True, or see doctor()",
            )
        self.degraded.extend(plan.degraded)
        self.record.write_config(plan.spec.to_json())
        return plan

    # -- bundle and mounts ------------------------------------------------------------------------

    def _make_bundle(self, plan: PlannedBuild) -> None:
        self.bundle = Bundle.begin(plan.bundle)

    def _mount(self, plan: PlannedBuild) -> None:
        """Hand the build to the keeper and wait until the inputs are there."""
        by = self._choose_inputs()
        message = self._submit(plan, by)
        if message["event"] == "exited" and message.get("view_died"):
            # Somebody killed the file-system server; the keeper starts another one.
            self._await_gone()
            message = self._submit(plan, by)
        refused = not message.get("view_died")
        while (
            message["event"] == "exited"
            and message.get("stage") == "mount"
            and refused
            and self.policy.inputs == "auto"
        ):
            reason = message["setup_error"]
            if self.policy.strict:
                raise HostRefused(f"strict: FUSE cannot be had: {reason}", stage="mount", hint=message["hint"])
            self._await_gone()
            self.service.note_fuse_refused(reason)
            message = self._submit(plan, self._choose_inputs())
        if message["event"] == "exited":
            self._take_exit(message)

    def _choose_inputs(self) -> str:
        if self.policy.inputs == "auto" and self.service.fuse_refused is not None:
            if self.policy.strict:
                raise HostRefused(f"strict: FUSE cannot be had: {self.service.fuse_refused}", stage="mount")
            self.degraded.append(f"FUSE (inputs are a checkout): {self.service.fuse_refused}")
            return "checkout"
        return "fuse" if self.policy.inputs == "auto" else self.policy.inputs

    def _submit(self, plan: PlannedBuild, by: str) -> dict[str, Any]:
        assert self.bundle is not None
        self.context.cancel.check()
        self.inputs_by = by if plan.mounted_inputs else "none"
        view = self._provide_view(plan) if by == "fuse" and plan.mounted_inputs else None
        if by == "checkout":
            self._provide_checkout(plan)
        keeper = self.service.keeper()
        self._channel = keeper.build(self._keeper_plan(plan, view))
        with self.context.cancel.heard_by(self._channel.cancel):
            # The rest of the bundle is made while the keeper mounts the inputs.
            if not self._filled:
                self._filled = True
                self.bundle.fill(plan.bundle)
            self._channel.go()
            return self._await("mounted", "started", "exited")

    def _provide_view(self, plan: PlannedBuild) -> ViewPlan:
        assert self.bundle is not None
        store = self._readable_store(plan)
        entries = {os.fsencode(name): node for name, node in plan.mounted_inputs.items()}
        description = view_description(store.address, entries)
        spec = self.bundle.path / "view.json"
        spec.write_text(description)
        shared = None if self.policy.trace else self.service.view_key(description)
        return ViewPlan(
            spec=str(spec),
            store=store.address,
            trace=str(self.record.accesses_path) if self.policy.trace else None,
            allow_other=True,
            shared=shared,
            home=str(self.service.view_home()),
        )

    def _readable_store(self, plan: PlannedBuild) -> Castore:
        """A store that the file-system process can open: the service's own, or a copy beside the bundle."""
        assert self.bundle is not None
        if self.service.castore.local_path is not None:
            return self.service.castore
        near = open_castore(f"file:{self.bundle.path / 'store'}")
        with near:
            for node in plan.mounted_inputs.values():
                copy_closure(self.service.castore, near, node)
        return near

    def _provide_checkout(self, plan: PlannedBuild) -> None:
        assert self.bundle is not None
        for name, node in plan.mounted_inputs.items():
            source = checkout(self.service.castore, node, self.service.checkout_cache())
            # The runtime's bind mount follows the link; what it finds is ours, by digest.
            link = self.bundle.inputs / name
            if not link.is_symlink():
                link.symlink_to(source)

    def _keeper_plan(self, plan: PlannedBuild, view: ViewPlan | None) -> BuildPlan:
        assert self.bundle is not None
        record, bundle = self.record, self.bundle.path
        return BuildPlan(
            bundle=str(bundle),
            container=self.container,
            runtime=RuntimePlan(plan.runtime.path, plan.runtime.kind, str(bundle / "state"), plan.cgroup is not None),
            view=view,
            own=plan.owned,
            user=plan.sandbox_ids,
            log=str(record.log_path),
            index=str(record.index_path),
            timeout=self.policy.timeout,
            grace=self.policy.grace,
            observe=str(record.inside_path) if self.policy.observe else None,
            terminal=plan.options.terminal,
            cgroup=plan.cgroup,
            adopt=plan.adopt,
            janitor=make_janitor(self.bundle, plan) if plan.needs_janitor else None,
        )

    @property
    def container(self) -> str:
        """The container's id; the bundle's unguessable name, so that two never meet."""
        assert self.bundle is not None
        return f"tvixbuild-{self.bundle.path.name.rpartition('.')[2][:16]}"

    # -- the run ----------------------------------------------------------------------------------

    def _run(self) -> None:
        """Wait until the command ended; :class:`Ended` when it did not end well."""
        assert self._channel is not None
        if self._exit is None:
            with self.context.cancel.heard_by(self._channel.cancel):
                self._take_exit(self._await("exited"))
        verdict = self._judge()
        if verdict is not None:
            raise Ended(verdict)

    def _take_exit(self, message: dict[str, Any]) -> None:
        self._exit = message
        self.usage = message["usage"]
        self.context.log_size = message["log_size"]

    def _judge(self) -> Verdict | None:
        """The verdict on the command's end, None when it ended well; FAILURES in words, RECIPES 5 in rules."""
        assert self._exit is not None
        ended = self._exit
        stopped = ended["stopped"]
        if stopped == "timed-out":
            return Verdict("timed-out", message=f"the time limit of {self.policy.timeout:g} s passed")
        if stopped in ("cancelled", "owner-gone"):
            return Verdict("cancelled", message="the build was cancelled")
        if stopped == "view-died":
            text = "the file system process that served the inputs died during the build"
            hint = "run it again; inputs='checkout' does without it"
            return Verdict("failed", "setup", message=text, hint=hint, killed=True)
        error = ended.get("setup_error")
        if error is not None:
            if _WORDLESS.fullmatch(error):
                # It could not write its own log, and said why where the command's output goes.
                error = f"{error}: {self._last_line()}"
            failed_at: FailedAt = "exec" if _EXEC_TEXTS.search(error) else "setup"
            killed = bool(ended.get("runtime_killed"))
            advice = ended["hint"] or (_HINTS[errno.ENOSPC] if os.strerror(errno.ENOSPC) in error else None)
            return Verdict("failed", failed_at, message=error, hint=advice, killed=killed)
        code, number = ended["exit_code"], ended["signal"]
        if not ended["executed"]:
            text = self._last_line() or "the command could not be started"
            return Verdict("failed", "exec", code, number, text)
        if number is not None:
            return Verdict("failed", "build", None, number, f"the command was ended by signal {number}")
        if code != 0:
            return Verdict("failed", "build", code, None, f"the command ended with status {code}")
        return None

    def _last_line(self) -> str | None:
        with self.record.log() as log:
            size = log.size()
            lines = log.read(max(0, size - 4096), 4096).decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else None

    # -- after ------------------------------------------------------------------------------------

    def _ingest(self, plan: PlannedBuild) -> Verdict:
        self._await("settled")
        written = written_paths(plan.scratch_places, plan.premade)
        try:
            self.outputs = ingest_outputs(
                self.service.castore, plan.output_places, self.request.refscan_needles, written
            )
        except MissingOutputs as error:
            return Verdict("failed", "output", 0, message=error.message, hint=error.hint, written=error.written)
        except OutputError as error:
            return Verdict("failed", "output", 0, message=_with_place(error), hint=error.hint)
        except CastoreError as error:
            return Verdict("failed", "ingest", 0, message=_with_place(error), hint=error.hint)
        self.context.cancel.check()
        return Verdict("succeeded", exit_code=0)

    def _await(self, *events: str) -> dict[str, Any]:
        """The next message of one of these kinds; others are kept for whoever waits for them."""
        for index, message in enumerate(self._early):
            if message["event"] in events:
                return self._early.pop(index)
        assert self._channel is not None
        while True:
            heard = self._channel.next(3600.0)
            if heard is None:
                continue
            if heard["event"] in events:
                return heard
            self._early.append(heard)

    def _await_gone(self) -> None:
        """Until the container, its mounts and its cgroup are no more."""
        if self._channel is None:
            return
        if self._exit is None:
            # Nobody waits for its end any more, so it need not go on.
            self._channel.cancel()
        try:
            gone = self._await("gone")
            self._faults = gone["faults"]
            self.degraded.extend(gone["problems"])
            self.degraded.extend(f"inputs: {fault}" for fault in gone["faults"])
            if gone["left"] is not None:
                self.degraded.append(f"clean-up: {gone['left']}")
        except KeeperError:
            # What it held died with it; what it cannot delete is deleted by clean.
            self._keeper_died = True
            self.service.keeper_died()
        finally:
            self._channel.close()
            self._channel = None
            self._early.clear()

    def _keeps(self, verdict: Verdict) -> bool:
        failed = verdict.status in ("failed", "timed-out") and not verdict.killed
        return self.policy.keep == "always" or (self.policy.keep == "failure" and failed)

    def _clear_ahead(self, verdict: Verdict) -> None:
        """Remove most of the bundle while the keeper is still taking container and view away."""
        assert self.bundle is not None
        if self._keeps(verdict):
            return
        for path in (self.bundle.scratch, self.bundle.root):
            # What resists is tried again, and told, by clean.
            with contextlib.suppress(OSError):
                remove(str(path))

    def _clean(self, plan: PlannedBuild, verdict: Verdict) -> None:
        if self._keeper_died and plan.cgroup is not None:
            BuildCgroup(plan.cgroup).remove()
        if self.bundle is None:
            return
        bundle = self.bundle.path
        if self._keeps(verdict) and bundle.exists():
            self.kept = self.service.keep_bundle(bundle, self.record)
            return
        try:
            remove(str(bundle))
        except PermissionError:
            try:
                problems = self.service.keeper().remove([bundle])
            except KeeperError as error:
                problems = [f"{bundle}: {error.message}"]
            self.degraded.extend(f"clean-up: {text}" for text in problems)
        except OSError as error:
            self.degraded.append(f"clean-up: {_system_words(error)}")

    def _blame_inputs(self, verdict: Verdict) -> Verdict:
        """The verdict, with what the build was not given of its inputs when that may be why it failed."""
        if verdict.status != "failed" or not self._faults:
            return verdict
        text = f"{verdict.message}; an input could not be read: {self._faults[0]}"
        hint = verdict.hint or "ingest that input again: the store has lost part of it"
        return replace(verdict, message=text, hint=hint)

    def _result(self, plan: PlannedBuild, verdict: Verdict, started: float) -> BuildResult:
        return BuildResult(
            id=self.record.id,
            request_digest=self.request.digest,
            service=self.service.address,
            status=verdict.status,
            failed_at=verdict.failed_at,
            exit_code=verdict.exit_code,
            signal=verdict.signal,
            message=verdict.message,
            hint=verdict.hint,
            outputs=self.outputs if verdict.status == "succeeded" else (),
            written=verdict.written,
            store=self.service.castore.address,
            started=started,
            finished=time.time(),
            timings=dict(self.context.timings),
            usage=Usage.from_keeper(self.usage),
            degraded=tuple(self.degraded),
            runtime=plan.runtime.kind,
            inputs=self.inputs_by,
            log_size=self.context.log_size,
            bundle=self.kept,
        )


def _system_words(error: OSError) -> str:
    return f"{os.fsdecode(error.filename)}: {error.strerror}" if error.filename else str(error.strerror or error)


_HINTS = {
    errno.ENOSPC: "free some space, or choose another bundle root (oci:/path)",
    errno.EACCES: "choose a bundle root that is yours (oci:/path)",
}


def _with_place(error: TvixBuildError) -> str:
    return error.message if error.where is None else f"{error.where}: {error.message}"
