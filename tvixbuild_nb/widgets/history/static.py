"""A list of runs without a kernel."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.widgets.kit import Html, tag

_HEAD = ("run", "when", "ended", "took", "what changed", "request", "command")
_LEFT = "text-align:left;vertical-align:top"
_WORDS = f"{_LEFT};white-space:nowrap"
_LONG = f"{_LEFT};white-space:normal;overflow-wrap:anywhere;min-width:9em"
_STYLES = (_WORDS, _WORDS, _LONG, _WORDS, _LONG, _WORDS, _LONG)


def history_html(data: dict[str, Any]) -> Html:
    """The newest runs in a table, self-contained."""
    head = tag("tr", [tag("th", name, style=_LEFT) for name in _HEAD])
    return tag(
        "div",
        tag(
            "table",
            tag("caption", f"{data['title']}: {data['total']}, the newest first", style="text-align:left"),
            tag("thead", head),
            tag("tbody", [_row(row) for row in data["rows"]]),
        ),
        tag("p", tag("em", f"{data['older']:,} older runs are not shown here")) if data["older"] else None,
        style="overflow-x:auto;max-width:100%",
    )


def _row(row: dict[str, Any]) -> Html:
    cells: tuple[str | list[Html], ...] = (
        tag("code", row["run"]),
        row["when"],
        [tag("b", row["ended"]), tag("div", row["message"])] if row["status"] != "succeeded" else row["ended"],
        row["took"],
        row["changed"],
        tag("code", row["digest"][:12]),
        tag("code", row["command"], style="white-space:pre-wrap;overflow-wrap:anywhere"),
    )
    return tag("tr", [tag("td", cell, style=style) for cell, style in zip(cells, _STYLES, strict=True)])
