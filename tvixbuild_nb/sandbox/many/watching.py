"""The builds on standard error while somebody waits for them: a table that follows on a terminal, else lines."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tvixbuild_nb.sandbox.many.text import most_telling as _most_telling
from tvixbuild_nb.sandbox.many.text import numbers_text, place_text, row_line, state_text, unfit_lines

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tvixbuild_nb.sandbox.many.entry import ManyRow
    from tvixbuild_nb.sandbox.many.many import Many

# Seconds between two looks; lines of a terminal that are not the table's rows.
_LOOK = 0.25
_AROUND = 4
_STYLES = {"succeeded": "green", "failed": "bold red", "timed-out": "red", "cancelled": "yellow", "building": "cyan"}


@contextlib.contextmanager
def watched(many: Many, show: bool) -> Iterator[None]:
    """During the block, what becomes of the builds is shown on standard error."""
    if not show:
        yield
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        with Live(
            get_renderable=lambda: many_table(many, console.height - _AROUND), console=console,
            refresh_per_second=1 / _LOOK,
        ):  # fmt: skip
            yield
    else:
        over = threading.Event()
        thread = threading.Thread(target=_lines, args=(many, over), name="many builds", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _lines(many: Many, over: threading.Event) -> None:
    told: set[tuple[int, ...]] = set()
    named: set[str] = set()
    last = False
    while not last:
        last = over.wait(_LOOK) or many.over
        for row in many.rows():
            if row.over and row.numbers not in told:
                told.add(row.numbers)
                print(row_line(row), file=sys.stderr)
        for name in many.unfit.keys() - named:
            named.add(name)
            print(*unfit_lines([many.unfit[name]]), sep="\n", file=sys.stderr)
        sys.stderr.flush()


def many_table(many: Many, most: int) -> RenderableType:
    """The builds as a table of at most ``most`` rows, below their counts."""
    from rich.console import Group
    from rich.text import Text

    rows = many.rows()
    shown = _most_telling(rows, max(1, most))
    more = [Text(f"and {len(rows) - len(shown)} more", style="dim")] if len(shown) < len(rows) else []
    unfit = [Text(line, style="yellow") for line in unfit_lines(many.unfit.values())]
    return Group(Text(f"builds: {many.counts()}"), rows_table(shown), *more, *unfit)


def rows_table(rows: list[ManyRow]) -> RenderableType:
    """Rows as a table without lines."""
    from rich.table import Table
    from rich.text import Text

    from tvixbuild_nb.escaping import visible

    workers = any(row.worker or row.lost for row in rows)
    table = Table(box=None, pad_edge=False)
    for name in ("request", "state", "time", *(["worker"] if workers else []), "run"):
        table.add_column(name, no_wrap=True)
    table.add_column("log", no_wrap=True, overflow="ellipsis")
    for row in rows:
        took = "" if row.seconds is None else f"{row.seconds:.2f} s"
        said = row.message if row.over and row.state != "succeeded" else row.tail
        state = Text(state_text(row), style=_STYLES.get(row.state, ""))
        place = [visible(place_text(row))] if workers else []
        table.add_row(numbers_text(row), state, took, *place, row.run or "", Text(visible(said or ""), style="dim"))
    return table
