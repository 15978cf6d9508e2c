"""Records: rows of named cells for a terminal of any width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Records:
    """Rows of cells as a table, or below each other where there is no room; a row is about what its first cell names.

    The texts must be harmless already. ``styles``: one a row, or none; ``wide``: from how many columns of the terminal
    on it is a table, None: from where no word would be broken.
    """

    title: str
    names: Sequence[str]
    rows: Sequence[Sequence[str]]
    styles: Sequence[str] = ()
    wide: int | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.measure import Measurement

        table = self._table()
        least = self.wide
        if least is None:
            least = Measurement.get(console, options.update(width=10_000), table).minimum
        if options.max_width >= least:
            yield table
        else:
            yield from self._below()

    def _styled(self) -> Iterator[tuple[Sequence[str], str]]:
        return zip(self.rows, self.styles or [""] * len(self.rows), strict=True)

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(self.title, style="italic"), title_justify="left")
        for name in self.names:
            table.add_column(name, overflow="fold")
        for row, style in self._styled():
            table.add_row(*map(Text, row), style=style)
        return table

    def _below(self) -> Iterator[RenderableType]:
        from rich.padding import Padding
        from rich.text import Text

        yield Text(self.title, style="italic")
        for row, style in self._styled():
            yield Text(row[0], style=f"bold {style}".rstrip(), overflow="fold")
            for name, cell in zip(self.names[1:], row[1:], strict=True):
                if cell:
                    yield Padding(Text.assemble((f"{name}: ", "dim"), cell, overflow="fold"), (0, 0, 0, 4))
