"""A request form in a terminal: a table of the fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tvixbuild_nb.widgets.form.data import TITLES
from tvixbuild_nb.widgets.form.static import faults_at, shown_fields

if TYPE_CHECKING:
    from rich.console import RenderableType


def form_text(data: dict[str, Any]) -> RenderableType:
    """Fields beside their values, what is wrong in red below them."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Build request", show_header=False, title_justify="left")
    table.add_column(style="bold", max_width=24)
    table.add_column(overflow="fold")
    for name in shown_fields(data):
        value = Text("\n").join(map(Text, _lines(name, data)))
        for fault in data["faults"]:
            if fault["field"] == name:
                for text in faults_at(data, name, fault["row"]):
                    value.append(f"\nnot valid: {text}", style="red")
        table.add_row(TITLES[name], value)
    request = data["request"]
    table.add_row("Request digest", Text(request["digest"] or f"none: {request['trouble']}"))
    return table


def _lines(name: str, data: dict[str, Any]) -> list[str]:
    field = data[name]
    if name == "command" and data["shell"]:
        return [field["rows"][2]["cell"]["shown"]]
    if "rows" not in field:
        value = field["value"]
        return [("yes" if value else "no") if isinstance(value, bool) else field["shown"] or "/"]
    lines = [_line(name, row) for row in field["rows"]]
    return [*lines, f"and {field['hidden']:,} more"] if field["hidden"] else lines or ["none"]


def _line(name: str, row: dict[str, Any]) -> str:
    if name == "inputs":
        return (
            f"{row['key']['shown']}  {row['kind']}, {row['size']}, {(row['digest'] or '')[:12]}  from {row['origin']}"
        )
    if name == "additional_files":
        return f"{row['key']['shown']}  {row['cell']['size']} bytes"
    if name == "env":
        return f"{row['key']['shown']}={row['cell']['shown']}"
    return str(row["cell"]["shown"]) or "(empty)"
