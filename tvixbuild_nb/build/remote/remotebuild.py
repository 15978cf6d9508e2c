"""The life of one build elsewhere; :meth:`RemoteBuild.live` is the conductor."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, get_args

from tvixbuild_nb.build.events import Stage
from tvixbuild_nb.build.recorded import RunHost
from tvixbuild_nb.build.remote.plain import answer_of
from tvixbuild_nb.build.remote.policies import not_told
from tvixbuild_nb.build.remote.watching import Watching
from tvixbuild_nb.build.result import BuildResult, Usage
from tvixbuild_nb.build.service import BuildContext
from tvixbuild_nb.build.verdict import Ended, Verdict, of_outputs, of_surroundings
from tvixbuild_nb.castore import copy_closure
from tvixbuild_nb.errors import Cancelled, CastoreError, HostRefused, NotFound, OutputError, TvixBuildError
from tvixbuild_nb.request import BuildRequest

if TYPE_CHECKING:
    from tvixbuild_nb.build.remote.service import RemoteBuildService


class RemoteBuild:
    """One build of a :class:`RemoteBuildService`."""

    def __init__(self, service: RemoteBuildService, request: BuildRequest, context: BuildContext) -> None:
        self.service = service
        self.request = request
        self.context = context
        self.started = time.time()

    def live(self) -> BuildResult:
        """Bring the inputs, build there, tell what happens; raises only while nothing has been started.

        Bringing inputs is a start: from then on it can be cancelled, and what the builder refuses is the run's failure.
        """
        degraded: tuple[str, ...] = ()
        try:
            with self.context.stage("request"):
                self.context.take_down(self.request)
                watched = self._reached()
                degraded = self._not_told(watched=watched)
                looked = self._bring()
            result = self._watched() if watched else self._plain(look_again=not looked)
        except TvixBuildError as error:
            if isinstance(error, Cancelled):
                self.context.accept()
            if not self.context.accepted.is_set():
                raise
            result = self._ended(of_surroundings(error, keeper_died=False))
        both = {**result.timings, **self.context.timings}
        timings = {stage: both[stage] for stage in get_args(Stage) if stage in both}
        result = result.model_copy(update={"degraded": (*degraded, *result.degraded), "timings": timings})
        return self.context.end(self._checked(result))

    def _bring(self) -> bool:
        """Bring the inputs; whether the builder's store was asked for any of them."""
        if not self.service.lacking(self.request):
            return False
        self.service.reach_store()
        self.context.accept()
        self.service.bring(self.request, self.context)
        return True

    def _reached(self) -> bool:
        """Whether the builder can be watched; :class:`RemoteError` when it cannot be reached."""
        self.context.cancel.check()
        return self.service.connection.watched

    def _not_told(self, *, watched: bool) -> tuple[str, ...]:
        lacking = not_told(self.context.policy, watched=watched)
        if self.context.policy.strict and lacking:
            raise HostRefused(
                f"strict: this run would have to do without {'; '.join(lacking)}",
                stage="request",
                hint="run it without strict=True",
            )
        return lacking

    def _watched(self) -> BuildResult:
        try:
            return self._watch()
        except NotFound:
            # What was taken to be there is not, or not any more.
            self.service.bring(self.request, self.context, again=True)
            return self._watch()

    def _watch(self) -> BuildResult:
        with Watching(self.service.connection, self.request, self.context) as watching:
            try:
                return watching.result(**self._ours())
            except Ended as ended:
                return self._ended(ended.verdict).model_copy(update={"degraded": watching.faults})

    def _plain(self, *, look_again: bool) -> BuildResult:
        """``look_again``: where it fails, its inputs may be gone that were there once; it does not say so."""
        self.context.accept()
        self.context.record.write_host(RunHost.here())
        try:
            with self.context.stage("run"):
                outputs = answer_of(self.service.connection, self.request, self.context)
        except Ended as ended:
            failed = ended.verdict.status == "failed" and not ended.verdict.killed
            if look_again and failed and self.service.bring(self.request, self.context, again=True):
                return self._plain(look_again=False)
            return self._ended(ended.verdict)
        return self._ended(Verdict("succeeded")).model_copy(update={"outputs": outputs})

    def _ours(self) -> dict[str, object]:
        """What only this side knows of a result."""
        return {
            "id": self.context.record.id,
            "request_digest": self.request.digest,
            "service": self.service.address,
            "store": self.service.castore.address,
            "log_size": self.context.log_size,
        }

    def _ended(self, verdict: Verdict) -> BuildResult:
        finished = time.time()
        return BuildResult.model_validate(
            {
                **self._ours(),
                "status": verdict.status,
                "failed_at": verdict.failed_at,
                "exit_code": verdict.exit_code,
                "message": verdict.message,
                "hint": verdict.hint,
                "started": self.started,
                "finished": finished,
                "timings": {},
                "usage": Usage(wall=finished - self.started, source="measured by who waited for the builder"),
            }
        )

    def _checked(self, result: BuildResult) -> BuildResult:
        """The result; when somebody checks outputs, they are fetched for that, and may be refused."""
        if self.context.check is None or not result.ok:
            return result
        try:
            for output in result.outputs:
                copy_closure(self.service.castore, self.service.inputs, output.node)
            self.context.check(self.request, result.outputs)
        except (OutputError, CastoreError) as refused:
            verdict = of_outputs(refused)
            update = {"status": "failed", "failed_at": verdict.failed_at, "message": verdict.message}
            rejected = result.outputs if isinstance(refused, OutputError) else ()
            return result.model_copy(update={**update, "hint": verdict.hint, "outputs": (), "rejected": rejected})
        return result
