"""A list of runs as text: a table where there is room, else some lines for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

# Columns of a terminal that a table needs to be read, without and with commands.
WIDE = 96
WIDER = 124
_STYLES = {"succeeded": "green", "failed": "bold red", "damaged": "red", "running": "cyan"}


@dataclass(frozen=True, slots=True)
class HistoryText:
    """The newest runs; ``commands``: with what each ran."""

    data: dict[str, Any]
    commands: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(self.data["heading"])
        if options.max_width >= (WIDER if self.commands else WIDE):
            yield self._table()
        else:
            for row in self.data["rows"]:
                yield from self._lines(row)
        if self.data["older"]:
            yield Text(f"{self.data['older']:,} older runs are not shown here", style="dim")

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for name in ("run", "when", "ended", "took"):
            table.add_column(name, no_wrap=name != "ended")
        table.add_column("what changed", overflow="fold")
        if self.commands:
            table.add_column("command", overflow="fold")
        for row in self.data["rows"]:
            command = [Text(row["command"], style="dim")] if self.commands else []
            table.add_row(Text(row["run"]), row["when"], ended(row), row["took"], Text(row["changed"]), *command)
        return table

    def _lines(self, row: dict[str, Any]) -> RenderResult:
        yield Text.assemble(f"{row['run']}  ", ended(row), f"  {row['took']}")
        below = [f"{row['when']}  {row['changed']}", row["command"] if self.commands else ""]
        for text in below:
            if text.strip():
                yield Padding(Text(text, style="dim", overflow="fold"), (0, 0, 0, 2))


def ended(row: dict[str, Any]) -> Text:
    """How a run ended, in its colour."""
    return Text(row["ended"], style=_STYLES.get(row["status"], "yellow"))


def history_text(data: dict[str, Any], *, commands: bool = False) -> HistoryText:
    """The newest runs, for a terminal of any width."""
    return HistoryText(data, commands)
