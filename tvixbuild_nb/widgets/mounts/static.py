"""A mount table without a kernel."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.widgets.kit import Html, tag

_HEAD = ("#", "destination", "type", "source", "options", "asked for by", "note")


def mounts_html(rows: list[dict[str, Any]]) -> Html:
    """The table, self-contained."""
    head = tag("tr", [tag("th", name, style="text-align:left") for name in _HEAD])
    return tag(
        "table", tag("caption", "mounts, in order"), tag("thead", head), tag("tbody", [_row(row) for row in rows])
    )


def _row(row: dict[str, Any]) -> Html:
    notes = ["writable"] if row["writable"] else []
    notes += [f"hidden by {row['shadowed_by']}"] if row["shadowed_by"] else []
    notes += ["hides " + ", ".join(row["shadows"])] if row["shadows"] else []
    notes += [row["digest"][:12]] if row["digest"] else []
    cells = (
        str(row["order"]),
        tag("code", row["destination"]),
        row["type"],
        tag("code", row["host"] or row["source"]),
        tag("code", ", ".join(row["options"])),
        row["asked_for_by"],
        "; ".join(notes),
    )
    return tag("tr", [tag("td", cell, style="text-align:left") for cell in cells])
