"""One build at the workers: handed over, listened to, handed over again when its worker is lost, and its end."""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING, TypeAlias

from tvixbuild_nb.build.events import FailedAt, Status
from tvixbuild_nb.build.result import BuildResult
from tvixbuild_nb.build.service import BuildContext, Placement
from tvixbuild_nb.build.workers.arriving import Arriving
from tvixbuild_nb.build.workers.job import Answer, Job, Message, only_result
from tvixbuild_nb.build.workers.refusals import result_without_build
from tvixbuild_nb.build.workers.taking import taken
from tvixbuild_nb.errors import TvixBuildError
from tvixbuild_nb.request import BuildRequest

if TYPE_CHECKING:
    from tvixbuild_nb.build.workers.pool import Submitted
    from tvixbuild_nb.build.workers.service import WorkersBuildService

# How often a build is done again whose worker was lost, and handed over in all: workers that cannot build hand it back.
RETRIES = 2
_HANDED_OVER = 40
# Seconds: between two looks; for the end of a cancelled build beyond its grace; for what was told before a loss, by one
# who had begun and by one of whom nothing was heard.
_LOOK = 1.0
_CANCEL_PATIENCE = 15.0
_LOSS_PATIENCE = 2.0
_SILENCE = 0.3
_CANCEL: Message = {"told": "cancel"}
Heard: TypeAlias = "Message | Submitted"
_ADVICE = "doctor() on that worker says what it lacks"


class Sending:
    """The life of one build that is sent away, on the caller's thread; :meth:`live` is the conductor."""

    def __init__(self, service: WorkersBuildService, request: BuildRequest, context: BuildContext) -> None:
        self.service = service
        self.request = request
        self.context = context
        self._started = time.time()
        self._inbox: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        self._arriving = Arriving(context)
        self._worker: str | None = None
        self._lost: list[str] = []
        self._told: str | None = None
        self._deadline: float | None = None

    def live(self) -> BuildResult:
        """Until there is a result."""
        try:
            with self.context.cancel.heard_by(lambda: self._inbox.put(_CANCEL)):
                for attempt in range(_HANDED_OVER):
                    result = self._attempt(f"{self.context.record.id}.{attempt}")
                    if result is not None:
                        return self.context.end(result)
            return self.context.end(self._failed(f"no worker took it: {self._unfit()}", _ADVICE))
        finally:
            self._arriving.close()

    def _attempt(self, key: str) -> BuildResult | None:
        """Hand it over once; None when it has to be handed over again."""
        if self.context.cancel.asked and self._deadline is None:
            return self._cancelled()
        pool = self.service.pool
        job = Job(
            key, self.request.to_bytes(), self.service.castore.address, self.service.builder,
            self.service.builder_store, self.service.runtime, self.context.policy, pool.line,
        )  # fmt: skip
        self._worker, self._told = None, None
        pool.hear(key, self._inbox.put)
        try:
            try:
                future = pool.submit(job, self.service.shunned)
            except LookupError:
                return self._failed(f"no worker can build: {self._unfit()}", _ADVICE)
            except (RuntimeError, OSError) as error:
                return self._failed(f"{pool.address} takes no more work: {error}", None)
            future.add_done_callback(self._inbox.put)
            return self._listen(key, future)
        finally:
            pool.forget(key)

    def _listen(self, key: str, future: Submitted) -> BuildResult | None:
        pool = self.service.pool
        while True:
            if self._deadline is not None and time.monotonic() > self._deadline:
                return self._given_up(future)
            try:
                heard = self._inbox.get(timeout=_LOOK)
            except queue.Empty:
                if self._worker is None and pool.stuck(self.service.shunned, future):
                    future.cancel()
                    return None
                continue
            if not isinstance(heard, dict):
                if heard is not future or self._ends_elsewhere(future):
                    continue
                return self._ended(future)
            if heard["told"] == "cancel":
                self._deadline = time.monotonic() + self.context.policy.grace + _CANCEL_PATIENCE
                pool.cancel(key, future, self._worker)
            elif heard["told"] == "started":
                if self._worker is not None and (over := self._again(future)) is not None:
                    return over
                self._begun(str(heard["worker"]))
                if self.context.cancel.asked:
                    # It had begun by the time it was asked for, or begins all the same.
                    pool.cancel(key, future, self._worker)
            elif heard["told"] == "result":
                self._note(heard)
                if future.cancelled():
                    return self._ended(future)
            elif heard["told"] == "last":
                self._place(heard["data"])
            else:
                self._arriving.take(heard)

    def _note(self, message: Message) -> None:
        """The result; a worker that the cluster took the task from calls it cancelled, which nobody here did."""
        if message["status"] != "cancelled" or self.context.cancel.asked:
            self._told = message["result"]

    def _begun(self, worker: str) -> None:
        self._worker = worker
        self._place()

    def _place(self, last: bytes = b"") -> None:
        if self.context.sent is not None:
            self.context.sent(Placement(self._worker, tuple(self._lost), last))

    def _ends_elsewhere(self, future: Submitted) -> bool:
        """Whether a cancelled task is no more, but what it began is still coming to its end."""
        return future.cancelled() and self._worker is not None and self._told is None and self._deadline is not None

    # -- ends -------------------------------------------------------------------------------------

    def _ended(self, future: Submitted) -> BuildResult | None:
        if future.cancelled():
            dropped = f"{self.service.pool.address} dropped it: it was shut down, or cannot be reached any more"
            asked = self.context.cancel.asked
            return self._known() or (self._cancelled() if asked else self._failed(dropped, None))
        error = future.exception()
        if error is None:
            answer = future.result()
            if isinstance(answer, Answer):
                return self._answered(answer)
            self.service.note_unfit(answer)
            return None
        if self.context.cancel.asked:
            return self._known() or self._cancelled()
        if not self.service.pool.is_loss(error):
            hint = error.hint if isinstance(error, TvixBuildError) else None
            words = error.message if isinstance(error, TvixBuildError) else f"{type(error).__name__}: {error}"
            return self._failed(f"the worker could not take it: {words}", hint)
        self._hear_out()
        return self._lose()

    def _again(self, future: Submitted) -> BuildResult | None:
        """The cluster does it again by itself, since the worker that had begun is gone; that one told all it could."""
        over = self._lose()
        if over is not None:
            future.cancel()
        return over

    def _lose(self) -> BuildResult | None:
        """The worker is gone: what it said before that counts; else once more, or the end when that was too often."""
        if self._worker is None:
            return None
        if (known := self._known()) is not None:
            return known
        self._lost.append(self._worker)
        if len(self._lost) > RETRIES:
            return self._failed(f"its workers were lost: {', '.join(self._lost)}", "does the build end its worker?")
        self._arriving.again(f"{self._worker} was lost; built again elsewhere")
        self._worker = None
        self._place()
        return None

    def _hear_out(self) -> None:
        """What a dead worker wrote into its line, to the end of that: it may come later than the news of its death."""
        began = time.monotonic()
        while self._told is None:
            patience = _LOSS_PATIENCE if self._worker is not None else _SILENCE
            try:
                heard = self._inbox.get(timeout=max(0.0, began + patience - time.monotonic()))
            except queue.Empty:
                return
            if not isinstance(heard, dict):
                continue
            if heard["told"] == "gone":
                return
            if heard["told"] == "started":
                self._begun(str(heard["worker"]))
            elif heard["told"] == "result":
                self._note(heard)
            elif heard["told"] == "cancel":
                self._deadline = time.monotonic()
            else:
                self._arriving.take(heard)

    def _given_up(self, future: Submitted) -> BuildResult:
        """It was to end, and nobody said in time that it has."""
        dropped = future.cancel()
        if dropped and self._worker is None:
            return self._cancelled()
        who = self._worker or "whoever has it"
        return self._cancelled((f"{who}: it could not be told to end this, or did not; it may go on there",))

    # -- results ----------------------------------------------------------------------------------

    def _answered(self, answer: Answer) -> BuildResult:
        self._worker = answer.worker
        self.service.note_fit(answer.worker)
        self._arriving.finish(answer)
        self.context.record.take_in(answer.files)
        return self._taken(answer.result, answer.notes)

    def _known(self) -> BuildResult | None:
        """The result that was told before its worker was lost, if it was."""
        if self._told is None:
            return None
        return self._taken(self._told, (only_result(self._worker),))

    def _taken(self, text: str, notes: tuple[str, ...]) -> BuildResult:
        """A worker's result as this run's own."""
        theirs = BuildResult.model_validate_json(text)
        self.context.timings.update(theirs.timings)
        result = theirs.model_copy(
            update={
                "id": self.context.record.id,
                "service": self.service.address,
                "worker": self._worker,
                "log_size": self.context.log_size,
                "degraded": (*theirs.degraded, *notes, *self._losses()),
            }
        )
        return taken(result, self.service.castore, self.request, self.context)

    def _losses(self) -> tuple[str, ...]:
        return tuple(f"{worker}: it was lost while it built this, which was done again" for worker in self._lost)

    def _failed(self, message: str, hint: str | None) -> BuildResult:
        return self._here("failed", message, "setup", hint)

    def _cancelled(self, notes: tuple[str, ...] = ()) -> BuildResult:
        return self._here("cancelled", "the build was cancelled", None, None, notes)

    def _unfit(self) -> str:
        return "; ".join(map(str, self.service.unfit.values()))

    def _here(
        self, status: Status, message: str, failed_at: FailedAt | None, hint: str | None, notes: tuple[str, ...] = ()
    ) -> BuildResult:
        return result_without_build(
            self.service, self.request, self.context, self._started, status, message, failed_at=failed_at, hint=hint,
            worker=self._worker, degraded=(*notes, *self._losses()),
        )  # fmt: skip
