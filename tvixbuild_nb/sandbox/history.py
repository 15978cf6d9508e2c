"""RunHistory: runs in order, each with what changed against the run before it and how it ended."""

from __future__ import annotations

import shlex
import time
from calendar import timegm
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, overload

from tvixbuild_nb.build import RunRecord
from tvixbuild_nb.castore import Digest
from tvixbuild_nb.display import mimebundle
from tvixbuild_nb.request import BuildRequest, Change, Redactor, compare_requests
from tvixbuild_nb.sandbox.run import Run

_COMMAND = 100


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run of a history.

    status      running, succeeded, failed, cancelled, timed-out; deleted, or damaged: its record cannot be read
    started     seconds since the epoch, None when nobody knows
    seconds     how long it took, None while it runs
    command     in shell form, at most 100 characters; without secrets
    digest      of the request
    changes     against the run before; None where there is none to compare with
    message     why it failed, and ``hint`` what to do, where something is known
    """

    id: str
    status: str
    failed_at: str | None = None
    started: float | None = None
    seconds: float | None = None
    command: str = ""
    digest: Digest | None = None
    changes: tuple[Change, ...] | None = None
    message: str | None = None
    hint: str | None = None

    def __str__(self) -> str:
        when = "" if self.started is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.started))
        fault = f" at {self.failed_at}" if self.failed_at else ""
        seconds = "" if self.seconds is None else f"{self.seconds:.2f} s"
        return f"{self.id}  {when:19}  {self.status + fault:18}  {seconds:>10}  {changes_text(self.changes)}"


def changes_text(changes: tuple[Change, ...] | None, most: int = 3) -> str:
    """What changed as one line."""
    if changes is None:
        return "nothing to compare with"
    more = f"; and {len(changes) - most} more" if len(changes) > most else ""
    return "; ".join(map(str, changes[:most])) + more if changes else "the same request"


class RunHistory(Sequence[Run]):
    """Runs, oldest first: indexing gives a Run, :meth:`rows` what a list of them shows.

    Made by :meth:`Sandbox.history` (it grows with every run of that sandbox) and by :func:`runs`. ``mixed``: these are
    runs of different builds, so that the one before is the last with the same output paths.
    """

    def __init__(self, source: Callable[[], Sequence[Run]], title: str, *, mixed: bool = False) -> None:
        self._source = source
        self.title = title
        self._mixed = mixed

    @property
    def compared_with(self) -> str:
        """Which run each one's changes are told against, in words."""
        return "the one before it with the same outputs" if self._mixed else "the one before it"

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Run]: ...
    def __getitem__(self, index: int | slice) -> Run | Sequence[Run]:
        return self._source()[index]

    def __len__(self) -> int:
        return len(self._source())

    def find(self, id: str) -> Run | None:
        """The run of this history with exactly this id."""
        return next((run for run in self._source() if run.id == id), None)

    def rows(self, last: int | None = None) -> tuple[RunRow, ...]:
        """One row per run, oldest first; with ``last`` only of so many, the newest."""
        found = list(self._source())
        first = 0 if last is None else max(0, len(found) - last)
        return tuple(_row(run, self._before(found, number)) for number, run in enumerate(found) if number >= first)

    def _before(self, runs: Sequence[Run], number: int) -> Run | None:
        if not self._mixed:
            return runs[number - 1] if number else None
        here = _readable(runs[number])[0]
        if here is None:
            return None
        # Far back a run has little to do with this one, and every step reads a record.
        for run in reversed(runs[max(0, number - _FAR) : number]):
            request = _readable(run)[0]
            if request is not None and request.outputs == here.outputs:
                return run
        return None

    def __str__(self) -> str:
        rows = self.rows(_SHOWN)
        more = len(self) - len(rows)
        lines = [f"{self.title}: {len(self)}", *([f"({more} older ones not shown)"] if more > 0 else [])]
        return "\n".join([*lines, *map(str, rows)])

    # At a prompt, ``sb.history()`` alone should be readable.
    __repr__ = __str__

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


_FAR = 50
_SHOWN = 50


def runs() -> RunHistory:
    """Every recorded run of this account, of any process, as recorded now."""
    found = tuple(Run(record) for record in sorted(RunRecord.all(), key=_recorded))
    return RunHistory(lambda: found, "recorded runs", mixed=True)


def _row(run: Run, before: Run | None) -> RunRow:
    request, redactor = _readable(run)
    if request is None:
        return RunRow(run.id, "damaged" if run.record.path.exists() else "deleted", started=_began(run.id))
    try:
        result = run.result
    except (OSError, ValueError):
        return RunRow(run.id, "damaged", started=_began(run.id), digest=request.digest)
    earlier, hide = (None, Redactor()) if before is None else _readable(before)
    # What was secret a run ago is so still.
    command = hide.text(redactor.text(shlex.join(request.command_args)))
    return RunRow(
        run.id,
        run.status,
        failed_at=None if result is None else result.failed_at,
        started=_began(run.id) if result is None else result.started,
        seconds=None if result is None else result.finished - result.started,
        command=command if len(command) <= _COMMAND else f"{command[: _COMMAND - 1]}…",
        digest=request.digest,
        changes=None if earlier is None else compare_requests(earlier, request, hide=(hide, redactor)),
        message=None if result is None or result.message is None else redactor.text(result.message),
        hint=None if result is None or result.hint is None else redactor.text(result.hint),
    )


def _readable(run: Run) -> tuple[BuildRequest | None, Redactor]:
    """The request, and what must not be seen of it; None for both when the record is gone or cannot be read."""
    try:
        # Without its record nobody knows any more what was secret.
        return (run.request, run.redactor) if run.record.path.exists() else (None, Redactor())
    except (OSError, ValueError):
        return None, Redactor()


def _recorded(record: RunRecord) -> tuple[str, int]:
    """Sorts by time: ids do so to the second only."""
    try:
        return record.id[:15], (record.path / "request.json").stat().st_mtime_ns
    except OSError:
        return record.id[:15], 0


def _began(id: str) -> float | None:
    """When a run began, to the second, as its id says."""
    try:
        return float(timegm(time.strptime(id[:15], "%Y%m%d-%H%M%S")))
    except ValueError:
        return None
