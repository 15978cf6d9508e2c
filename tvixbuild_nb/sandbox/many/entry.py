"""One of many builds as it stands: waiting, building somewhere, over; told from any thread."""

from __future__ import annotations

import shlex
import threading
import time
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tvixbuild_nb.build import BuildResult, CancelToken, Placement, StageEvent
from tvixbuild_nb.castore import Digest
from tvixbuild_nb.request import Redactor
from tvixbuild_nb.sandbox.many.wanted import Wanted
from tvixbuild_nb.sandbox.printer import harmless
from tvixbuild_nb.sandbox.run import Run

State: TypeAlias = Literal["waiting", "building", "succeeded", "failed", "cancelled", "timed-out"]
_COMMAND = 100
_TAIL = 400


@dataclass(frozen=True, slots=True)
class ManyRow:
    """One of many builds.

    numbers     positions of the requests that it answers
    stage       of its life, while it is building
    worker      who builds it, of one that was sent to a worker; ``lost``: workers that died while they built it
    started     seconds since the epoch, None before; ``seconds``: how long it has been building, or took
    tail        the last line of its log
    message     why it failed, and ``hint`` what to do, where something is known
    """

    numbers: tuple[int, ...]
    digest: Digest
    command: str
    state: State
    stage: str | None = None
    worker: str | None = None
    lost: tuple[str, ...] = ()
    started: float | None = None
    seconds: float | None = None
    run: str | None = None
    tail: str = ""
    message: str | None = None
    hint: str | None = None

    @property
    def over(self) -> bool:
        return self.state not in ("waiting", "building")


class Entry:
    """A build of :class:`Many`: what its run tells of it, and its end."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.cancel = CancelToken()
        self.done = threading.Event()
        self.run: Run | None = None
        self.result: BuildResult | None = None
        self.fault: BaseException | None = None
        self._digest = wanted.request.digest
        self._redactor = Redactor.of(wanted.request.environment_vars, wanted.secrets)
        self._stage: str | None = None
        self._placement = Placement()
        self._started: float | None = None
        self._last = ""

    @property
    def digest(self) -> Digest:
        return self._digest

    def heard(self, event: StageEvent) -> None:
        """What the run records of its stages."""
        self._stage = event.stage
        if self._started is None and event.stage != "queue":
            self._started = event.time

    def sent(self, placement: Placement) -> None:
        """Where it is."""
        self._placement = placement
        if placement.worker is None:
            self._stage = self._started = None

    def end(self, result: BuildResult | None, fault: BaseException | None = None) -> None:
        """It is over: with a result, or with what nobody expected."""
        self.result, self.fault = result, fault
        self._last = self._tail()
        self.done.set()

    def row(self) -> ManyRow:
        """It as it is now."""
        result, place = self.result, self._placement
        command = self._redactor.text(shlex.join(self.wanted.request.command_args))
        started = self._started if result is None else result.started
        until = time.time() if result is None else result.finished
        message, hint = (None, None) if result is None else (result.message, result.hint)
        if self.fault is not None:
            message = f"{type(self.fault).__name__}: {self.fault}"
        return ManyRow(
            numbers=self.wanted.numbers,
            digest=self._digest,
            command=command if len(command) <= _COMMAND else f"{command[: _COMMAND - 1]}…",
            state=self.state,
            stage=None if self.done.is_set() else self._stage,
            worker=place.worker if result is None or result.worker is None else result.worker,
            lost=place.lost,
            started=started,
            seconds=None if started is None else max(0.0, until - started),
            run=None if self.run is None else self.run.id,
            tail=self._last if self.done.is_set() else self._tail(),
            message=None if message is None else self._redactor.text(message),
            hint=None if hint is None else self._redactor.text(hint),
        )

    @property
    def state(self) -> State:
        """In a word."""
        if self.fault is not None:
            return "failed"
        if self.result is not None:
            return self.result.status
        return "waiting" if self._stage in (None, "queue") else "building"

    def _tail(self) -> str:
        if self.run is None:
            return ""
        data = self._placement.last
        if not data:
            with self.run.record.log() as log:
                data = log.read(max(0, log.size() - _TAIL), _TAIL)
        lines = harmless(data.decode("utf-8", "replace"), colours=False).strip().splitlines()
        return self._redactor.text(lines[-1].strip()) if lines else ""
