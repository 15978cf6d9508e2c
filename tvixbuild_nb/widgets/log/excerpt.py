"""The beginning and the end of a log, for forms that do not move."""

from __future__ import annotations

from typing import Any, NamedTuple

from tvixbuild_nb.widgets.log.data import lines_data, state_data
from tvixbuild_nb.widgets.log.source import LogSource

FIRST = 100
LAST = 200
_WIDE = 500
_BYTES = 1 << 16


class Excerpt(NamedTuple):
    """``first`` and ``last`` lines (see :func:`lines_data`), how many are between them, and the state."""

    first: list[dict[str, Any]]
    left_out: int
    last: list[dict[str, Any]]
    state: dict[str, Any]


def excerpt(source: LogSource, first: int = FIRST, last: int = LAST, wide: int = _WIDE) -> Excerpt:
    """At most ``first`` lines of the beginning, ``last`` of the end, 64 KiB of each; ``wide`` characters a line."""
    running = source.is_running()
    source.advance()
    state = state_data(source, running)
    if state["total"] <= first + last:
        head, tail = source.lines(1, first + last, 2 * _BYTES), []
        if len(head) < state["total"]:
            tail = [line for line in source.tail(last, _BYTES) if line.number > len(head)]
    else:
        head = source.lines(1, first, _BYTES)
        tail = [line for line in source.tail(last, _BYTES) if line.number > len(head)]
    left_out = tail[0].number - head[-1].number - 1 if tail and head else 0

    return Excerpt(lines_data(source, head, wide), left_out, lines_data(source, tail, wide), state)


def summary(state: dict[str, Any]) -> str:
    """How large the log is, in words."""
    lines = "1 line" if state["total"] == 1 else f"{state['total']:,} lines"
    missed = f", {state['folds_missed']:,} more folds not kept" if state["folds_missed"] else ""
    return f"log: {lines}, {state['size']:,} bytes" + (", still running" if state["running"] else "") + missed
