"""A doctor's report as text."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor_text(data: dict[str, Any]) -> RenderableType:
    """The same groups as everywhere, what mends something below it."""
    marks = f" ({'; '.join(data['evidence'])})" if data["evidence"] else ""
    note = f"; {data['note']}" if data["note"] else ""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for group in data["groups"]:
        table.add_row("", Text(group["name"], style="bold"), "")
        for check in group["checks"]:
            words = Text(check["reason"])
            if check["remedy"]:
                words.append(f"\n{check['remedy']}", style="bold")
            table.add_row(Text(check["status"], style=_STYLES[check["status"]]), Text(check["name"]), words)
    parts: list[RenderableType] = [Text(f"host: {data['host']}{marks}{note}"), table]
    if data["start_with"]:
        parts.append(Text.assemble("start this container with: ", (data["start_with"], "bold")))
    parts.append(Text(data["verdict"], style="green" if data["ok"] else "bold red"))
    return Group(*parts)
