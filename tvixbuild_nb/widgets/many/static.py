"""Many builds without a kernel."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.widgets.kit import Html, tag, volatile
from tvixbuild_nb.widgets.kit.html import Child
from tvixbuild_nb.widgets.kit.tables import left_out, table

# Told apart without colours, too.
MARKS = {"waiting": "·", "building": "▶", "succeeded": "✓", "failed": "✗", "timed-out": "✗", "cancelled": "–"}
_LONG = frozenset({"worker", "log", "command"})


def many_html(data: dict[str, Any]) -> Html:
    """The builds in a table, self-contained."""
    head = ["request", "state", "time", *(["worker"] if data["workers"] else []), "run", "log", "command"]
    rows = [_row(row, data["workers"]) for row in data["rows"]]
    return tag(
        "div",
        table(head, rows, long=_LONG, caption=f"builds: {data['counts']}"),
        left_out(data["more"], "builds"),
        tag("ul", [tag("li", line) for line in data["unfit"]]) if data["unfit"] else None,
    )


def _row(row: dict[str, Any], workers: bool) -> tuple[Child, ...]:
    state = f"{MARKS[row['state']]} {row['told'] if row['over'] else row['state']}"
    said = [row["said"], tag("div", tag("em", row["hint"])) if row["hint"] else None]
    return (
        row["requests"],
        tag("b", state) if row["state"] in ("failed", "timed-out") else state,
        volatile("seconds", row["took"]) if row["took"] else None,
        # Which of them takes a build is another one every time.
        *([volatile("host", row["worker"])] if workers else []),
        tag("code", row["run"]) if row["run"] else None,
        said,
        tag("code", row["command"], style="white-space:pre-wrap;overflow-wrap:anywhere"),
    )
