"""A list of runs as text."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_STYLES = {"succeeded": "green", "failed": "bold red", "damaged": "red", "running": "cyan"}


def history_text(data: dict[str, Any]) -> RenderableType:
    """The newest runs in a table."""
    table = Table(box=None, pad_edge=False)
    for name in ("run", "when", "ended", "took"):
        table.add_column(name, no_wrap=name != "ended")
    table.add_column("what changed", overflow="fold")
    for row in data["rows"]:
        ended = Text(row["ended"], style=_STYLES.get(row["status"], "yellow"))
        table.add_row(Text(row["run"]), row["when"], ended, row["took"], Text(row["changed"]))
    parts: list[RenderableType] = [Text(f"{data['title']}: {data['total']}, the newest first"), table]
    if data["older"]:
        parts.append(Text(f"{data['older']:,} older runs are not shown here", style="dim"))
    return Group(*parts)
