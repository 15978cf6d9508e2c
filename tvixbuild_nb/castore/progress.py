"""Progress of long work: files, bytes and rate, shown when somebody is there to see it."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from tvixbuild_nb.castore.bars import BARS
from tvixbuild_nb.display import in_kernel, present

if TYPE_CHECKING:
    from rich.progress import TaskID

    from tvixbuild_nb.display import Presented

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
    """Progress that is seen from half a second on, in a terminal or a notebook and nowhere else; a context manager.

    ``title`` is what is being done, like "ingest"; ``failed`` is what ended it, if anything did. A terminal has it on
    stderr; under a notebook's cell it is presented by whoever knows how (:func:`tvixbuild_nb.display.present`), but
    only for work of the main thread: what others do belongs to no cell.
    """

    def __init__(self, title: str) -> None:
        super().__init__()
        self.title = title
        self.failed: BaseException | None = None
        self._start = self._last = time.monotonic()
        self._seconds: float | None = None
        self._of_a_cell = threading.current_thread() is threading.main_thread()
        self._line: TaskID | None = None
        self._presented: Presented | None = None
        self._drawing = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def advance(self, files: int = 0, bytes: int = 0) -> None:
        super().advance(files, bytes)
        now = time.monotonic()
        if now - self._start < SHOW_AFTER_SECONDS or now - self._last < _REFRESH_SECONDS:
            return
        # Whoever finds another one drawing goes on with the work.
        if self._drawing.acquire(blocking=False):
            try:
                self._last = now
                if not self.over:
                    self._draw()
            finally:
                self._drawing.release()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # First how it ended, then that it has: who follows it looks no more from then on.
        self.failed = error
        with self._drawing:
            self._seconds = self.seconds
        if self._line is not None:
            BARS.end(self._line)
        if self._presented is not None:
            self._presented.finish()

    @property
    def seconds(self) -> float:
        """How long it goes on, or went on."""
        return time.monotonic() - self._start if self._seconds is None else self._seconds

    @property
    def over(self) -> bool:
        return self._seconds is not None

    def text(self) -> str:
        """Files, bytes and rate so far."""
        return f"{self.files:,} files, {human(self.bytes)}, {human(int(self.bytes / max(self.seconds, 1e-9)))}/s"

    def _draw(self) -> None:
        if in_kernel():
            if self._of_a_cell and self._presented is None:
                self._presented = present(self)
        elif sys.stderr is not None and sys.stderr.isatty():
            if self._line is None:
                self._line = BARS.begin()
            BARS.show(self._line, f"{self.title}: {self.text()}")


def human(count: int) -> str:
    """Bytes for people: ``1.5 MB``, decimal units."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
