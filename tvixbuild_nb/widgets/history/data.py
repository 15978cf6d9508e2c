"""What a list of runs shows, as plain data, the newest first."""

from __future__ import annotations

import time
from typing import Any

from tvixbuild_nb.sandbox import RunHistory, RunRow
from tvixbuild_nb.sandbox.history import changes_text
from tvixbuild_nb.widgets.kit import visible

# Rows of a form; who wants older ones indexes the history.
MOST = 100
_SUMMARY = 200


def history_data(history: RunHistory, most: int | None = MOST) -> dict[str, Any]:
    """A heading, how many runs there are, and the ``most`` newest rows (None: all); every text is safe to look at."""
    rows = [_row(row) for row in reversed(history.rows(most))]
    total = max(len(history), len(rows))
    told = f"{visible(history.title)}: {total}, the newest first, each compared with {history.compared_with}"
    return {"heading": told, "total": total, "older": total - len(rows), "rows": rows}


def _row(row: RunRow) -> dict[str, Any]:
    return {
        "run": visible(row.id),
        "status": row.status,
        "ended": row.status + (f" at {row.failed_at}" if row.failed_at else ""),
        "when": "" if row.started is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.started)),
        "took": "" if row.seconds is None else f"{row.seconds:.2f} s",
        "message": "" if row.message is None else _short(row.message),
        "changed": _short(changes_text(row.changes)),
        "digest": "" if row.digest is None else str(row.digest),
        "command": visible(row.command),
    }


def _short(text: str) -> str:
    safe = visible(text)
    return safe if len(safe) <= _SUMMARY else f"{safe[: _SUMMARY - 1]}…"
