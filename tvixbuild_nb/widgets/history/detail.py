"""One run of the list in more words, asked for when somebody opens it."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.sandbox import RunHistory
from tvixbuild_nb.widgets.history.data import MOST
from tvixbuild_nb.widgets.kit import visible

# Changes of one run that are listed; a request can have thousands of inputs.
MOST_CHANGES = 50


def run_detail(history: RunHistory, id: str) -> dict[str, Any]:
    """Every change of the run with this id, its request's digest, and what opens it; ``verdict`` is None.

    Where its record cannot be read, ``verdict`` says so. KeyError when it is none of those the list shows.
    """
    for row in reversed(history.rows(MOST)):
        if row.id == id:
            break
    else:
        raise KeyError(id)
    changes = [visible(str(change)) for change in row.changes or ()]
    # A record that is gone or broken has no verdict any more, and no view.
    readable = row.digest is not None and row.status not in ("damaged", "deleted")
    return {
        "verdict": None if readable else f"run {visible(id)}: its record is {row.status}",
        "changes": changes[:MOST_CHANGES],
        "more": max(0, len(changes) - MOST_CHANGES),
        "code": f"Run.open({id!r})",
        "digest": None if row.digest is None else str(row.digest),
    }
