"""The commands notebooks run and notebooks check."""

from __future__ import annotations

import threading
from argparse import Namespace
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from tvixbuild_nb.cli.entry import FAILED, REFUSED
from tvixbuild_nb.cli.screen import console, safe, write_lines
from tvixbuild_nb.errors import HostRefused


def run(args: Namespace) -> int:
    """Execute notebooks and write what they show; 1 when one of them failed."""
    lab = _lab()
    with _Bars() as bars:
        report = lab.run_notebooks(
            *args.paths,
            output_dir=args.output_dir,
            jobs=args.jobs,
            timeout=args.timeout,
            watcher=bars,
            record=args.record,
        )
    _tell(report)
    return 0 if report else FAILED


def check(args: Namespace) -> int:
    """Execute notebooks and compare; 1 when a cell shows another thing, 2 when one could not be executed."""
    lab = _lab()
    with _Bars() as bars:
        report = lab.check_notebooks(*args.paths, jobs=args.jobs, timeout=args.timeout, watcher=bars)
    _tell(report)
    return 0 if report else REFUSED if report.failed else FAILED


def _lab() -> Any:
    try:
        import nbclient  # noqa: F401 - asked only whether it is there
    except ImportError:
        raise HostRefused("executing notebooks needs nbclient", hint="pip install 'tvixbuild-nb[notebook]'") from None
    from tvixbuild_nb import lab

    return lab


def _tell(report: object) -> None:
    write_lines(Text(safe(line)) for line in str(report).split("\n"))


class _Bars:
    """A bar for each notebook on standard error, as long as it is executed; nothing where that is no terminal."""

    def __init__(self) -> None:
        screen = console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("cells"),
            TimeElapsedColumn(), console=screen, transient=True, disable=not screen.is_terminal,
        )  # fmt: skip
        self._bars: dict[Path, TaskID] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def cell(self, notebook: Path, number: int, total: int) -> None:
        with self._lock:
            if notebook not in self._bars:
                self._bars[notebook] = self._progress.add_task(safe(str(notebook)))
            # The cell that was begun is not done yet.
            self._progress.update(self._bars[notebook], completed=number - 1, total=total)

    def over(self, notebook: Path, ok: bool) -> None:
        with self._lock:
            if (bar := self._bars.pop(notebook, None)) is not None:
                self._progress.remove_task(bar)
