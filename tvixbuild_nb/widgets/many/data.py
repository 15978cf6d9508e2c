"""What many builds show, as plain data; every text is safe to look at."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.sandbox import Many, ManyRow
from tvixbuild_nb.sandbox.many.text import most_telling, numbers_text, place_text, state_text, unfit_lines
from tvixbuild_nb.widgets.kit import visible

# Rows of a form: of more builds than that, those that matter most.
MOST = 200
_SAID = 200


def many_data(many: Many, most: int = MOST) -> dict[str, Any]:
    """Counts, whether it is over, the rows, how many are not among them, and the workers that cannot build."""
    over, rows = many.over, many.rows()
    shown = most_telling(rows, most)
    return {
        "counts": visible(many.counts()),
        "over": over,
        "rows": [_row(row) for row in shown],
        "more": len(rows) - len(shown),
        "workers": any(row.worker or row.lost for row in shown),
        "unfit": list(unfit_lines(many.unfit.values())),
    }


def _row(row: ManyRow) -> dict[str, Any]:
    ended_badly = row.over and row.state != "succeeded"
    said = visible((row.message if ended_badly else row.tail) or "")
    return {
        "number": row.numbers[0],
        "requests": numbers_text(row),
        "state": row.state,
        "told": state_text(row),
        "over": row.over,
        # The page counts on by itself.
        "started": row.started,
        "took": "" if row.seconds is None or not row.over else f"{row.seconds:.2f} s",
        "worker": visible(place_text(row)),
        "run": visible(row.run or ""),
        "said": said if len(said) <= _SAID else f"{said[: _SAID - 1]}…",
        "hint": visible(row.hint or "") if ended_badly else "",
        "digest": str(row.digest),
        "command": visible(row.command),
    }
