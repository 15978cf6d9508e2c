"""Progress of long work: files, bytes and rate, shown when somebody is there to see it."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

SHOW_AFTER_SECONDS = 0.5
_REFRESH_SECONDS = 0.25


class Progress(Protocol):
    """Is told what was done; called from several threads."""

    def advance(self, files: int = 0, bytes: int = 0) -> None:
        """So many more files and bytes are done."""
        ...


class Silent:
    """Progress that shows nothing; ``files`` and ``bytes`` count what was done."""

    def __init__(self) -> None:
        self.files = 0
        self.bytes = 0
        self._mutex = threading.Lock()

    def advance(self, files: int = 0, bytes: int = 0) -> None:
        with self._mutex:
            self.files += files
            self.bytes += bytes


class Shown(Silent):
    """Progress on stderr, from half a second on, in a terminal or a notebook and nowhere else; a context manager.

    ``title`` is what is being done, like "ingest".
    """

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title
        self._start = self._last = time.monotonic()
        self._bar: tuple[RichProgress, TaskID] | None = None
        self._drawn = False

    def __enter__(self) -> Self:
        return self

    def advance(self, files: int = 0, bytes: int = 0) -> None:
        super().advance(files, bytes)
        now = time.monotonic()
        if now - self._start < SHOW_AFTER_SECONDS or now - self._last < _REFRESH_SECONDS:
            return
        self._last = now
        self._draw()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar[0].stop()
        elif self._drawn:
            self._draw()
            print(file=sys.stderr, flush=True)

    def text(self) -> str:
        """Files, bytes and rate so far."""
        seconds = max(time.monotonic() - self._start, 1e-9)
        return f"{self.files:,} files, {human(self.bytes)}, {human(int(self.bytes / seconds))}/s"

    def _draw(self) -> None:
        if in_notebook():
            # A carriage return overwrites the line in a notebook's stream output as well.
            print(f"\r{self._title}: {self.text()}   ", end="", file=sys.stderr, flush=True)
            self._drawn = True
        elif sys.stderr is not None and sys.stderr.isatty():
            with self._mutex:
                bar, task = self._bar or self._start_bar()
            bar.update(task, description=f"{self._title}: {self.text()}")

    def _start_bar(self) -> tuple[RichProgress, TaskID]:
        from rich.console import Console
        from rich.progress import Progress as RichProgress
        from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        bar = RichProgress(*columns, console=Console(stderr=True), transient=True)
        self._bar = (bar, bar.add_task(self._title, total=None))
        bar.start()
        return self._bar


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook; imports nothing."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


def human(count: int) -> str:
    """Bytes for people: ``1.5 MB``, decimal units."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
