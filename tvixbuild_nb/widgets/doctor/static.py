"""A doctor's report without a kernel."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.widgets.kit import Html, tag

_MARKS = {"ok": "✓", "warn": "!", "fail": "✗"}
_LEFT = "text-align:left;vertical-align:top"


def doctor_html(data: dict[str, Any]) -> Html:
    """The report, self-contained; groups in which something is missing are open."""
    marks = f" ({'; '.join(data['evidence'])})" if data["evidence"] else ""
    return tag(
        "div",
        tag("p", tag("b", data["verdict"])),
        tag("p", f"host: {data['host']}{marks}", f"; {data['note']}" if data["note"] else None),
        tag("p", "start this container with: ", tag("code", data["start_with"])) if data["start_with"] else None,
        [_group(group) for group in data["groups"]],
    )


def _group(group: dict[str, Any]) -> Html:
    checks = group["checks"]
    wrong = sum(check["status"] != "ok" for check in checks)
    said = f"{wrong} of {len(checks)} not as it could be" if wrong else "works"
    return tag(
        "details",
        tag("summary", tag("b", group["name"]), f": {said}"),
        tag("table", tag("tbody", [_row(check) for check in checks])),
        open=bool(wrong),
    )


def _row(check: dict[str, Any]) -> Html:
    words = [check["reason"], tag("div", tag("code", check["remedy"])) if check["remedy"] else None]
    cells = (f"{_MARKS[check['status']]} {check['sign']}", tag("b", check["name"]), words, tag("i", check["did"]))
    return tag("tr", [tag("td", cell, style=_LEFT) for cell in cells])
