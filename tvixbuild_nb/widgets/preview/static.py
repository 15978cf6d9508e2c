"""A configuration without a kernel: folded parts, each with what is to be said about it, and the deviations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tvixbuild_nb.oci import Diff
from tvixbuild_nb.oci.explanation import Explanation, pointer
from tvixbuild_nb.widgets.kit import Html, tag
from tvixbuild_nb.widgets.kit.difflines import named, sides
from tvixbuild_nb.widgets.kit.html import Child
from tvixbuild_nb.widgets.kit.tables import left_out, table
from tvixbuild_nb.widgets.preview.data import (
    Data,
    Shown,
    deviation_rows,
    diff_data,
    marks_of,
    member_name,
    members,
    summary,
    validity_data,
)

# Of each list; the whole stays below what a notebook can hold.
MOST_MEMBERS = 60
_INDENT = "margin-left:1.2em"
_LINK = "text-decoration:underline"
_SMALL = "margin-left:1.2em;font-size:90%"


def preview_html(shown: Shown) -> Html:
    """The tree, folded, and below it the table of deviations; self-contained."""
    badge = validity_data(shown.validity)
    mark = "✓" if badge["ok"] else "✗"
    parts = [_part(shown, key, item, pointer(key)) for key, item in members(shown.config)]
    note = _deviations(deviation_rows(shown)) if shown.preview is not None else None
    return tag("div", tag("p", tag("b", "config.json"), f" {mark} {badge['text']}"), parts, note)


def diff_html(data: Data) -> Html:
    """The table of differences, or that there are none."""
    if not data["rows"]:
        return tag("p", f"no difference from {data['other']}")
    return _differences(data, f"differences from {data['other']}: {data['count']}", ("here", "there"))


def diff_table(diff: Diff, caption: Child, names: tuple[str, str]) -> Html:
    """The table of differences; ``names``: what has ours, what has theirs."""
    return _differences(diff_data(diff), caption, names)


def _differences(data: Data, caption: Child, names: tuple[str, str]) -> Html:
    reasons = any(row["why"] for row in data["rows"])
    head = ("where", *names, *(["why"] if reasons else []))
    rows = [[named("", row["where"]), *sides(*_sides(row)), *([row["why"]] if reasons else [])] for row in data["rows"]]
    left = left_out(data["count"] - len(rows), "differences")
    return tag("div", table(head, rows, long=head, caption=caption), left)


def _sides(row: Data) -> tuple[str | None, str | None]:
    """What here and there is; None where a side has nothing."""
    return (
        None if row["kind"] == "theirs only" else row["ours"],
        None if row["kind"] == "ours only" else row["theirs"],
    )


def _part(shown: Shown, key: str | int, value: Any, path: str) -> Html:
    name = member_name(key, value)
    explanation = shown.explanations.get(path)
    marks = marks_of(shown, path, below=True)
    nested = isinstance(value, Mapping | list) and bool(value)
    head = [tag("b", name), ": ", tag("code", summary(value) if nested else _leaf(value))]
    if marks:
        head.append(tag("em", f" not as Tvix: {', '.join(marks)}"))
    if explanation is None and not nested:
        return tag("div", head, style=_INDENT)
    said = None
    if explanation is not None:
        said = _said(shown, explanation, shown.explanations.get(path.rpartition("/")[0]))
    inner = members(value)[:MOST_MEMBERS] if nested else []
    left = len(value) - len(inner) if nested else 0
    return tag(
        "details",
        tag("summary", head),
        said,
        [_part(shown, step, item, path + pointer(step)) for step, item in inner],
        tag("div", f"{left} more are not shown", style=_INDENT) if left else None,
        style=_INDENT,
    )


def _said(shown: Shown, explanation: Explanation, outer: Explanation | None) -> Html:
    """What is to be said about a part; who asked and where it is specified only where that is not as around it."""
    reference = explanation.reference
    lines: list[list[str]] = [[shown.redacted(explanation.what)]]
    if outer is None or outer.asked_by != explanation.asked_by:
        lines.append([f"asked for by: {shown.redacted(explanation.asked_by)}"])
    if outer is None or outer.reference != reference:
        link = tag("a", str(reference), style=_LINK, href=reference.url, rel="noopener noreferrer")
        lines.append(["specified in: ", link])
    lines.append([f"without it: {explanation.without}"])
    return tag("div", [[line, tag("br")] for line in lines[:-1]], lines[-1], style=_SMALL)


def _leaf(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)


def _deviations(rows: list[Data]) -> Html:
    if not rows:
        return tag("p", "as Tvix renders it")
    cells = [[row["name"], row["tvix"], row["ours"], row["reason"], row["asked_by"]] for row in rows]
    head = ("what", "Tvix", "here", "why", "whose choice")
    return table(head, cells, long=head, caption="not as Tvix renders it")
