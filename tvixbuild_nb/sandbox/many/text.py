"""Many builds in lines: what is printed of them, and what a line says of one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from tvixbuild_nb.build.workers import Unfit
from tvixbuild_nb.escaping import visible
from tvixbuild_nb.sandbox.many.entry import ManyRow

SHOWN = 50
_NUMBERS = 3


def many_lines(counts: str, rows: Sequence[ManyRow], unfit: Collection[Unfit]) -> Iterator[str]:
    """The counts, a line for each build (of more than fifty those that matter most), the workers that cannot build."""
    yield f"builds: {counts}"
    shown = most_telling(rows, SHOWN)
    yield from (f"  {row_line(row)}" for row in shown)
    if len(shown) < len(rows):
        yield f"  and {len(rows) - len(shown)} more"
    yield from unfit_lines(unfit)


def unfit_lines(unfit: Iterable[Unfit]) -> Iterator[str]:
    """The workers that get nothing, and why."""
    for each in unfit:
        yield f"cannot build, and gets nothing: {visible(str(each))}"


def most_telling(rows: Sequence[ManyRow], most: int) -> list[ManyRow]:
    """At most ``most`` rows, in order: what is building first, then what did not succeed, what comes next, the rest."""
    rank = {"building": 0, "failed": 1, "timed-out": 1, "cancelled": 2, "waiting": 3, "succeeded": 4}
    chosen = sorted(range(len(rows)), key=lambda at: (rank[rows[at].state], at))[:most]
    return [rows[at] for at in sorted(chosen)]


def row_line(row: ManyRow) -> str:
    """One build in one line."""
    took = "" if row.seconds is None else f"{row.seconds:.2f} s"
    said = row.message if row.over and row.state != "succeeded" else row.tail
    parts = (numbers_text(row), state_text(row), took, place_text(row), f"run {row.run}" if row.run else "", said or "")
    return "  ".join(visible(part) for part in parts if part)


def numbers_text(row: ManyRow) -> str:
    """``3``, ``3, 7``, ``3, 7, 9 and 2 more``: the positions of the requests."""
    told = ", ".join(map(str, row.numbers[:_NUMBERS]))
    more = len(row.numbers) - _NUMBERS
    return f"{told} and {more} more" if more > 0 else told


def state_text(row: ManyRow) -> str:
    """``building: run``, ``failed``."""
    return f"{row.state}: {row.stage}" if row.state == "building" and row.stage else row.state


def place_text(row: ManyRow) -> str:
    """Who builds it, and who was lost with it."""
    lost = f"{', '.join(row.lost)} lost" if row.lost else ""
    return "; ".join(part for part in (row.worker or "", lost) if part)
