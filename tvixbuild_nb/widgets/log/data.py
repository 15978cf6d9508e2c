"""Lines of a log as plain data, safe to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvixbuild_nb.widgets.kit import visible
from tvixbuild_nb.widgets.log.ansi import Span
from tvixbuild_nb.widgets.log.folds import Fold
from tvixbuild_nb.widgets.log.shown import Shown, shown_lines
from tvixbuild_nb.widgets.log.source import LogSource, SourceLine

WIDE = 4096
"""Characters of a line that are sent unasked."""


def lines_data(source: LogSource, lines: Sequence[SourceLine], wide: int = WIDE) -> list[dict[str, Any]]:
    """:func:`line_data` of lines that follow each other."""
    return [line_data(shown, wide) for shown in shown_lines(source, lines)]


def line_data(shown: Shown, wide: int = WIDE) -> dict[str, Any]:
    """``{n, t, s, x | p, k?, more?, h?}``: number, time, stream, text or ``[text, classes]``, kind, characters cut off.

    ``h``: the end of it is held back until it is known to be no secret; ask again when more has come.
    """
    line, parts = shown.line, shown.spans
    data: dict[str, Any] = {"n": line.number, "t": round(line.time, 3), "s": line.stream}
    length = sum(len(text) for text, _ in parts)
    if length > wide:
        parts, data["more"] = _first(parts, wide), length - wide
    if len(parts) > 1 or (parts and parts[0][1]):
        data["p"] = [list(part) for part in parts]
    else:
        data["x"] = parts[0][0] if parts else ""
    if shown.kind is not None:
        data["k"] = shown.kind
    if shown.held:
        data["h"] = True
    return data


def _first(parts: list[Span], wide: int) -> list[Span]:
    found: list[Span] = []
    for text, classes in parts:
        found.append((text[:wide], classes))
        wide -= len(text)
        if wide <= 0:
            break
    return found


def fold_data(fold: Fold) -> dict[str, Any]:
    """A fold, its ``last`` None while it grows."""
    name = None if fold.name is None else visible(fold.name.encode("utf-8", "replace"))
    return {"kind": fold.kind, "first": fold.first, "last": fold.last, "name": name}


def state_data(source: LogSource, running: bool) -> dict[str, Any]:
    """How far the log is."""
    return {
        "total": source.total,
        "settled": source.settled,
        "size": source.size,
        "began": source.began,
        "running": running,
        "folds": len(source.folds.closed),
        "folds_missed": source.folds.missed,
        "open": [fold_data(fold) for fold in source.folds.open],
    }
