"""Lines of progress on a terminal: one display for all work at once, or one would overwrite the other."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tvixbuild_nb.escaping import visible

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Bars:
    """Lines on standard error, one for each that began and has not ended; when none is left, nothing of them is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._display: RichProgress | None = None

    def begin(self) -> TaskID:
        """A new line, below those there are."""
        with self._lock:
            if self._display is None:
                self._display = _started()
            return self._display.add_task("", total=None)

    def show(self, line: TaskID, text: str) -> None:
        """What the line says now; whatever cannot be printed stands escaped in it."""
        with self._lock:
            if self._display is not None:
                self._display.update(line, description=visible(text))

    def end(self, line: TaskID) -> None:
        """Take the line away."""
        with self._lock:
            if self._display is None:
                return
            self._display.remove_task(line)
            if not self._display.tasks:
                self._display.stop()
                self._display = None


BARS = Bars()


def _started() -> RichProgress:
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.table import Column

    text = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
    display = RichProgress(SpinnerColumn(), TimeElapsedColumn(), text, console=Console(stderr=True), transient=True)
    display.start()
    return display
