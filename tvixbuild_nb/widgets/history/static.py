"""A list of runs without a kernel."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.widgets.kit import Html, tag, volatile
from tvixbuild_nb.widgets.kit.html import Child
from tvixbuild_nb.widgets.kit.tables import table

_HEAD = ("run", "when", "ended", "took", "what changed", "request", "command")
_LONG = frozenset({"ended", "what changed", "request", "command"})


def history_html(data: dict[str, Any]) -> Html:
    """The newest runs in a table, self-contained."""
    return tag(
        "div",
        table(_HEAD, [_row(row) for row in data["rows"]], long=_LONG, caption=data["heading"]),
        tag("p", tag("em", f"{data['older']:,} older runs are not shown here")) if data["older"] else None,
    )


def _row(row: dict[str, Any]) -> tuple[Child, ...]:
    return (
        tag("code", row["run"]),
        volatile("moment", row["when"]),
        [tag("b", row["ended"]), tag("div", row["message"])] if row["status"] != "succeeded" else row["ended"],
        volatile("seconds", row["took"]) if row["took"] else None,
        row["changed"],
        tag("code", row["digest"][:12]),
        tag("code", row["command"], style="white-space:pre-wrap;overflow-wrap:anywhere"),
    )
