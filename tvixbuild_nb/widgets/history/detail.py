"""One run of the list in more words, asked for when somebody opens it."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.sandbox import RunHistory
from tvixbuild_nb.widgets.history.data import MOST
from tvixbuild_nb.widgets.kit import visible

# Changes of one run that are listed; a request can have thousands of inputs.
MOST_CHANGES = 50


def run_detail(history: RunHistory, id: str) -> dict[str, Any]:
    """Verdict, hint and every change of the run with this id; KeyError when it is none of those the list shows."""
    for row in reversed(history.rows(MOST)):
        if row.id == id:
            break
    else:
        raise KeyError(id)
    run = history.find(id)
    changes = [visible(str(change)) for change in row.changes or ()]
    # A record that is gone or broken has no verdict any more.
    readable = run is not None and row.digest is not None and row.status != "damaged"
    return {
        "verdict": visible(str(run), keep="\n") if readable else f"run {visible(id)}: its record is {row.status}",
        "changes": changes[:MOST_CHANGES],
        "more": max(0, len(changes) - MOST_CHANGES),
        "code": f"Run.open({id!r})",
    }
