"""The builds of a closure without a kernel."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.widgets.kit import Html, tag, volatile
from tvixbuild_nb.widgets.kit.tables import LONG, WORDS

# Told apart without colours, too.
MARKS = {"waiting": "·", "building": "▶", "done": "✓", "failed": "✗", "skipped": "–", "above": ""}
_BAR = "display:inline-block;height:0.6em;background:currentColor;opacity:0.4"
_WHOLE = f"{WORDS};white-space:nowrap"
_HEAD = ("state", "derivation", "time", "run")


def closure_html(data: dict[str, Any]) -> Html:
    """The graph as a table, needs indented below what needs them, each with its time as a bar."""
    return tag(
        "div",
        tag("p", tag("b", data["title"]), f": {data['counts']}"),
        tag(
            "table",
            tag("thead", tag("tr", [tag("th", name, style=WORDS, scope="col") for name in _HEAD])),
            tag("tbody", [_row(row) for row in data["rows"]]),
        )
        if data["rows"]
        else None,
        tag("p", data["longest"], data_volatile="presence") if data["longest"] else None,
    )


def _row(row: dict[str, Any]) -> Html:
    name = tag("b", row["name"]) if row["slow"] else row["name"]
    words = [name, *(tag("div", row[key]) for key in ("waited", "message") if row[key])]
    bar = tag("span", style=f"{_BAR};width:{row['share'] * 0.06:.2f}em") if row["share"] else None
    return tag(
        "tr",
        tag("td", f"{MARKS[row['state']]} {row['state']}".strip(), style=_WHOLE),
        tag("td", words, style=f"{LONG};padding-left:{min(row['depth'], 20) + 0.5}em", title=row["path"]),
        tag("td", volatile("seconds", row["seconds"], " ", bar) if row["seconds"] else None, style=_WHOLE),
        tag("td", tag("code", row["run"]) if row["run"] else None, style=WORDS),
    )
