"""ServedBuild: one build for a caller elsewhere, in a thread, and what happens in it as messages."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tvixbuild_nb.build import (
    BuildContext,
    BuildPolicy,
    BuildResult,
    BuildService,
    CancelToken,
    EventReader,
    LogEvent,
    RunRecord,
    StageEvent,
)
from tvixbuild_nb.build.remote.answers import result_message
from tvixbuild_nb.build.remote.taken import parts_of
from tvixbuild_nb.build.turns import Turns
from tvixbuild_nb.errors import Cancelled, RemoteError
from tvixbuild_nb.escaping import visible
from tvixbuild_nb.proto import watched_pb2
from tvixbuild_nb.request import BuildRequest

_POLL = 0.02
_TAIL = 8192
_STOPPED = "the server was stopped before the build was over"
_AGAIN = "run it again when the server is back"


class ServedBuild:
    """A build that goes on beside its call. Its record is below ``runs``, from its start to the end of the call.

    ``turns``: those of a service that takes none itself; None where it does.
    """

    def __init__(
        self, service: BuildService, request: BuildRequest, policy: BuildPolicy, runs: Path, turns: Turns | None
    ) -> None:
        self.request = request
        self.name = str(request.digest)[:12]
        self._service = service
        self._policy = policy
        self._runs = runs
        self._turns = turns
        self._cancel = CancelToken()
        self._stopped = False
        self._context: BuildContext | None = None
        self._done = threading.Event()
        self._result: BuildResult | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="build")

    def start(self) -> None:
        """Return once the request was accepted; raises what refused it."""
        self._context = BuildContext(RunRecord.create(self._runs), self._policy, self._cancel)
        self._thread.start()
        self._context.accepted.wait()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        context = self._started
        try:
            with context.record.held(), self._turn():
                self._result = self._service.do_build(self.request, context)
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()
            context.accepted.set()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._turns is None:
            yield
            return
        if not self._turns.take_free():
            # It will be built, if not now; what its builder refuses then is told as its failure.
            self._started.accept()
            with self._started.stage("queue"):
                self._turns.take(self._cancel)
        try:
            yield
        finally:
            self._turns.give_back()

    @property
    def _started(self) -> BuildContext:
        assert self._context is not None, "it was started"
        return self._context

    @property
    def token(self) -> CancelToken:
        """What its cancelling is asked of, also before it was started."""
        return self._cancel

    @property
    def over(self) -> bool:
        """Whether nothing is built any more; its caller may still have to take the end."""
        return self._done.is_set()

    @property
    def succeeded(self) -> bool:
        """Whether it is over, and went well."""
        return self._result is not None and self._result.ok

    @property
    def outcome(self) -> str:
        """How it ended, in a line for who keeps the server."""
        if self._result is not None:
            return visible(self._result.verdict())
        return "not begun" if self._error is None else visible(f"{type(self._error).__name__}: {self._error}")

    def stop(self) -> None:
        """End it since the server ends: not its caller's doing, who is told so."""
        self._stopped = True
        self._cancel.cancel()

    def join(self) -> None:
        """Wait until it is over."""
        if self._thread.ident is not None:
            self._thread.join()

    def close(self) -> None:
        """End it, and leave nothing of its record."""
        self._cancel.cancel()
        self.join()
        if self._context is not None:
            self._context.record.delete()

    def result(self) -> BuildResult:
        """Wait for the end; raises what the service should not have raised."""
        self.join()
        if self._stopped and isinstance(self._error, Cancelled):
            raise RemoteError(_STOPPED, code="UNAVAILABLE", hint=_AGAIN)
        if self._error is not None:
            raise self._error
        assert self._result is not None
        if self._stopped and self._result.status == "cancelled":
            told = {"status": "failed", "failed_at": "setup", "message": _STOPPED, "hint": _AGAIN}
            return self._result.model_copy(update=told)
        return self._result

    def last_lines(self, count: int) -> list[str]:
        """The end of the log."""
        with self._started.record.log() as log:
            size = log.size()
            text = log.read(max(0, size - _TAIL), _TAIL).decode("utf-8", "replace")
        return text.splitlines()[-count:]

    def events(self) -> Iterator[watched_pb2.BuildEvent]:
        """What happens, from its acceptance to the result, as it happens."""
        yield watched_pb2.BuildEvent(accepted=watched_pb2.Accepted())
        reader = EventReader(self._started.record)
        try:
            while True:
                # Asked first: what comes between the last look and the end must not be missed.
                over, count = self._done.is_set(), 0
                for event in reader.read():
                    count += 1
                    if isinstance(event, StageEvent):
                        yield watched_pb2.BuildEvent(stage=_stage(event))
                    elif isinstance(event, LogEvent):
                        chunk = watched_pb2.LogChunk(time=event.time, stream=event.stream, data=event.data)
                        yield watched_pb2.BuildEvent(log=chunk)
                if over and not count:
                    break
                if not count:
                    self._done.wait(_POLL)
        finally:
            reader.close()
        result = self.result()
        for name, data in parts_of(self._started.record):
            yield watched_pb2.BuildEvent(file=watched_pb2.RecordedFile(name=name, data=data))
        yield watched_pb2.BuildEvent(result=result_message(result))


def _stage(event: StageEvent) -> watched_pb2.Stage:
    detail = None if event.detail is None else event.detail.encode("utf-8", "backslashreplace").decode()
    return watched_pb2.Stage(time=event.time, stage=event.stage, state=event.state, detail=detail)
