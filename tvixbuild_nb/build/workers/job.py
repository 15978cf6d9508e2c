"""What travels between the one who wants a build and the worker that does it: small, and nothing of either's memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from tvixbuild_nb.build.doctor import DoctorReport
from tvixbuild_nb.build.service import BuildPolicy, CancelToken
from tvixbuild_nb.keeper.log import StreamName

# A message from a worker: ``job``, ``told``, and what belongs to that. Plain values, since Dask packs them.
Message: TypeAlias = dict[str, Any]


class Voice(Protocol):
    """A worker's end of a :class:`Line`, for one job."""

    worker: str
    """What the worker is called."""

    def tell(self, message: Message) -> None:
        """Send it, as long as anybody hears; never raises for want of a hearer."""
        ...

    def obey(self, cancel: CancelToken) -> None:
        """From now on ``cancel`` is asked when the other side asks, or is no more."""
        ...

    def earlier(self) -> Answer | None:
        """How this very job ended on a worker that told its result and then was lost; None where none did."""
        ...

    def close(self) -> None: ...


class Line(Protocol):
    """A value that travels with a job: how its worker reaches whoever waits for it."""

    def open(self, job: str) -> Voice:
        """The worker's end; one that nobody hears where the other side cannot be reached."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """One build to be done by a worker: the request's message, addresses and policy; contents stay in the store.

    ``key`` names it in messages. ``builder`` None is the worker's own default, ``builder_store`` where a builder
    elsewhere has its contents, None for its own address.
    """

    key: str
    request: bytes
    store: str
    builder: str | None
    builder_store: str | None
    runtime: str | None
    policy: BuildPolicy
    line: Line


@dataclass(frozen=True, slots=True)
class StageTold:
    """An event of a stage, as its JSON."""

    event: str


@dataclass(frozen=True, slots=True)
class LogTold:
    """A chunk of the log: seconds since the epoch, stream, place in the worker's log, bytes."""

    time: float
    stream: StreamName
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """How a job ended: the result as JSON, all events in order, and small files of the worker's record by name.

    Of a log that is too long the middle is not there: ``left_out`` bytes. ``notes`` say what else is not.
    """

    worker: str
    result: str
    events: tuple[StageTold | LogTold, ...]
    files: dict[str, bytes]
    left_out: int = 0
    notes: tuple[str, ...] = ()


def only_result(worker: str | None) -> str:
    """The note on a build of which nothing but its result is known, since its worker was lost."""
    return f"what else {worker} recorded: only the result was heard of"


@dataclass(frozen=True, slots=True)
class Unfit:
    """A worker that cannot build: why, and what its ``doctor()`` found."""

    worker: str
    reason: str
    report: DoctorReport

    def __str__(self) -> str:
        failed = ", ".join(check.name for check in self.report.checks if check.status == "fail")
        return f"{self.worker}: {self.reason}" + (f" (doctor: {failed})" if failed else "")
