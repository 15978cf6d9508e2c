"""The life of one build on this host's OCI runtime, stage by stage; :meth:`OCIBuild.live` is the conductor."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvixbuild_nb.build import verdict as verdicts
from tvixbuild_nb.build.inputs import describe_view, link_checkouts
from tvixbuild_nb.build.keeperplan import keeper_plan
from tvixbuild_nb.build.outputs import ingest_outputs, writable_output, written_paths
from tvixbuild_nb.build.plan import PlannedBuild
from tvixbuild_nb.build.recorded import RunHost
from tvixbuild_nb.build.result import BuildOutput, BuildResult, Usage
from tvixbuild_nb.build.seeding import seed
from tvixbuild_nb.build.service import BuildContext
from tvixbuild_nb.build.verdict import Ended, Verdict, system_words
from tvixbuild_nb.errors import CastoreError, HostRefused, KeeperError, OutputError, TvixBuildError
from tvixbuild_nb.keeper import RunChannel
from tvixbuild_nb.keeper.cgroups import BuildCgroup
from tvixbuild_nb.keeper.trees import remove
from tvixbuild_nb.oci import Bundle
from tvixbuild_nb.request import BuildRequest

if TYPE_CHECKING:
    from tvixbuild_nb.build.oci import OCIBuildService


# Bytes of log that are looked at for known failures.
LOG_TAIL = 8192


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
        self._host_noted = False
        self._filled = False
        self._faults: list[str] = []
        self._early: list[dict[str, Any]] = []

    @property
    def _has_network(self) -> bool:
        constraints = self.request.constraints
        return constraints is not None and constraints.network_access

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
                self._take_turn()
            try:
                with context.stage("bundle"):
                    self._make_bundle(plan)
                with context.stage("mount"):
                    self._mount(plan)
                with context.stage("run"):
                    self._run(plan)
                with context.stage("ingest"):
                    verdict = self._ingest(plan)
                self._clear_scratch(verdict)
            finally:
                try:
                    self._await_gone()
                finally:
                    self._end_turn()
        except Ended as ended:
            verdict = ended.verdict
        except (TvixBuildError, OSError) as error:
            verdict = verdicts.of_surroundings(error, self._keeper_died)
        except BaseException:
            # A defect of ours, or an interrupt: nothing stays behind all the same.
            self._clean(plan, Verdict("cancelled"))
            raise
        usage = Usage.from_keeper(self.usage)
        verdict = verdict.blaming(self._faults).advised(self._log_tail(), usage.oom_kills, network=self._has_network)
        with context.stage("clean"):
            self._clean(plan, verdict)
        with context.stage("result"):
            self._note_host(plan)
            result = self._result(plan, verdict, usage, started)
        return context.end(result)

    # -- before anything is started -------------------------------------------------------------

    def _accept_request(self) -> None:
        self.context.take_down(self.request)
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

    def _take_turn(self) -> None:
        # What is only held does no work that others would have to wait for.
        if self.context.hold is None:
            self.service.take_turn(self.context)

    def _end_turn(self) -> None:
        if self.context.hold is None:
            self.service.end_turn()

    # -- bundle and mounts ------------------------------------------------------------------------

    def _make_bundle(self, plan: PlannedBuild) -> None:
        self.bundle = Bundle.begin(plan.bundle)

    def _mount(self, plan: PlannedBuild) -> None:
        """Hand the build to the keeper and wait until the inputs are there; where FUSE is refused, by a checkout."""
        message = self._submit(plan, self._choose_inputs())
        if message.get("view_died"):
            # Somebody killed the file-system server; the keeper starts another one.
            message = self._submit_again(plan)
        if message.get("stage") == "mount" and not message.get("view_died") and self.policy.inputs == "auto":
            reason = message["setup_error"]
            if self.policy.strict:
                raise HostRefused(f"strict: FUSE cannot be had: {reason}", stage="mount", hint=message["hint"])
            self.service.note_fuse_refused(reason)
            message = self._submit_again(plan)
        if message["event"] == "exited":
            self._take_exit(message)

    def _submit_again(self, plan: PlannedBuild) -> dict[str, Any]:
        self._await_gone()
        self._let_go()
        return self._submit(plan, self._choose_inputs())

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
        service, inputs, view = self.service, plan.mounted_inputs, None
        self.inputs_by = by if inputs else "none"
        if inputs and by == "fuse":
            trace = self.record.accesses_path if self.policy.trace else None
            backwards = self.policy.listing == "backwards"
            view = describe_view(
                service.castore,
                inputs,
                self.bundle,
                trace,
                service.view_home(),
                self.context.cancel,
                backwards=backwards,
            )
        elif inputs:
            if self.policy.listing != "sorted":
                self.degraded.append("listing: a checkout is listed as its file system does")
            link_checkouts(service.castore, inputs, self.bundle, service.checkout_cache(), self.context.cancel)
        keeper = service.keeper()
        self._channel = keeper.build(keeper_plan(plan, self.context, self.bundle, view))
        with self.context.cancel.heard_by(self._channel.cancel):
            # The rest of the bundle is made while the keeper mounts the inputs.
            if not self._filled:
                self._filled = True
                self.bundle.fill(plan.bundle)
                if self.context.scratch is not None:
                    seed(self.context.scratch, self.bundle.scratch)
                    self.bundle.refill(plan.bundle)
            self._channel.go()
            return self._await("mounted", "started", "exited")

    # -- the run ----------------------------------------------------------------------------------

    def _run(self, plan: PlannedBuild) -> None:
        """Wait until the command ended; :class:`Ended` when it did not end well."""
        assert self._channel is not None
        # What takes a moment goes on beside the command.
        self._note_host(plan)
        if self._exit is None:
            with self.context.cancel.heard_by(self._channel.cancel):
                self._take_exit(self._await("exited"))
        assert self._exit is not None
        verdict = verdicts.of_command(self._exit, self.policy, self._last_line)
        if verdict is not None:
            raise Ended(verdict)

    def _note_host(self, plan: PlannedBuild) -> None:
        if not self._host_noted:
            self._host_noted = True
            self.record.write_host(RunHost.here(plan.runtime))

    def _take_exit(self, message: dict[str, Any]) -> None:
        self._exit = message
        self.usage = message["usage"]
        self.context.log_size = message["log_size"]

    def _last_line(self) -> str | None:
        lines = self._log_tail().strip().splitlines()
        return lines[-1] if lines else None

    def _log_tail(self) -> str:
        with self.record.log() as log:
            return log.read(max(0, log.size() - LOG_TAIL), LOG_TAIL).decode("utf-8", "replace")

    # -- after ------------------------------------------------------------------------------------

    def _ingest(self, plan: PlannedBuild) -> Verdict:
        self._await("settled")
        written = written_paths(plan.scratch_places, plan.premade)
        try:
            self.outputs = ingest_outputs(
                self.service.castore,
                plan.output_places,
                self.request.refscan_needles,
                written,
                self.context.cancel,
            )
        except (OutputError, CastoreError) as error:
            return verdicts.of_outputs(error)
        self.context.cancel.check()
        try:
            self._check(plan)
        except OutputError as error:
            return verdicts.of_check(error)
        except CastoreError as error:
            return verdicts.of_outputs(error)
        return Verdict("succeeded", exit_code=0)

    def _check(self, plan: PlannedBuild) -> None:
        """:class:`OutputError` when somebody checks outputs, and these are not to be taken."""
        if self.context.check is None:
            return
        writable = writable_output(plan.output_places)
        if writable is not None:
            raise OutputError(
                f"suspicious ownership or permission on '/{writable}'; rejecting this build output",
                hint="it is writable for its group or for others: chmod go-w it at the end of the build",
            )
        self.context.check(self.request, self.outputs)

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

    def _let_go(self) -> None:
        """Nothing more will be asked of the keeper for this build."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        self._early.clear()

    def _keeps(self, verdict: Verdict) -> bool:
        failed = verdict.status in ("failed", "timed-out") and not verdict.killed
        return self.policy.keep == "always" or (self.policy.keep == "failure" and failed)

    def _clear_scratch(self, verdict: Verdict) -> None:
        """Give the room of what was built back before the run is over, while the keeper takes the view away."""
        assert self.bundle is not None
        if not self._keeps(verdict):
            # What resists is tried again by clean.
            with contextlib.suppress(OSError):
                remove(str(self.bundle.scratch))

    def _clean(self, plan: PlannedBuild, verdict: Verdict) -> None:
        if self._keeper_died and plan.cgroup is not None:
            BuildCgroup(plan.cgroup).remove()
        try:
            if self.bundle is None:
                return
            if self._keeps(verdict) and self.bundle.path.exists():
                self.kept = self.service.keep_bundle(self.bundle.path, self.record)
            elif self._channel is None or self._keeper_died or plan.needs_janitor:
                self._remove(self.bundle.path)
            else:
                # The keeper may remove whatever a build made; nobody need wait for a few empty directories.
                self._clear_scratch(verdict)
                self._channel.discard()
        finally:
            self._let_go()

    def _remove(self, bundle: Path) -> None:
        try:
            remove(str(bundle))
        except PermissionError:
            try:
                problems = self.service.keeper().remove([bundle])
            except KeeperError as error:
                problems = [f"{bundle}: {error.message}"]
            self.degraded.extend(f"clean-up: {text}" for text in problems)
        except OSError as error:
            self.degraded.append(f"clean-up: {system_words(error)}")

    def _result(self, plan: PlannedBuild, verdict: Verdict, usage: Usage, started: float) -> BuildResult:
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
            rejected=self.outputs if verdict.failed_at == "output" else (),
            written=verdict.written,
            store=self.service.castore.address,
            started=started,
            finished=time.time(),
            timings={stage: round(seconds, 6) for stage, seconds in self.context.timings.items()},
            usage=usage,
            degraded=tuple(self.degraded),
            runtime=plan.runtime.kind,
            inputs=self.inputs_by,
            log_size=self.context.log_size,
            bundle=self.kept,
        )
