"""The state of a closure's builds where somebody sees it: lines on a terminal, or a view under a notebook's cell."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

from tvixbuild_nb.castore.bars import BARS
from tvixbuild_nb.castore.progress import SHOW_AFTER_SECONDS
from tvixbuild_nb.display import in_kernel, present

if TYPE_CHECKING:
    from rich.progress import TaskID

    from tvixbuild_nb.display import Presented
    from tvixbuild_nb.nix.closurebuild import ClosureBuild
    from tvixbuild_nb.nix.storepath import StorePath


class ClosureLines:
    """One line for the whole and one for each build that goes on, from half a second on; nothing stays of them.

    In a notebook it is presented at once, for work of the main thread: what others do belongs to no cell. There it
    stays, and so must not depend on how quick a host is.
    """

    def __init__(self, build: ClosureBuild) -> None:
        self._build = build
        self._begun = time.monotonic()
        self._of_a_cell = threading.current_thread() is threading.main_thread()
        self._whole: TaskID | None = None
        self._lines: dict[StorePath, TaskID] = {}
        self._presented: Presented | None = None

    def show(self) -> None:
        """What is the case now."""
        if in_kernel():
            if self._of_a_cell and self._presented is None:
                self._presented = present(self._build)
        elif sys.stderr is not None and sys.stderr.isatty() and time.monotonic() - self._begun >= SHOW_AFTER_SECONDS:
            self._draw()

    def _draw(self) -> None:
        if self._whole is None:
            self._whole = BARS.begin()
        BARS.show(self._whole, f"closure: {self._build.counts()}")
        building = {node.path for node in self._build.nodes if node.state == "building"}
        for path in [path for path in self._lines if path not in building]:
            BARS.end(self._lines.pop(path))
        for path in sorted(building - set(self._lines)):
            self._lines[path] = BARS.begin()
            BARS.show(self._lines[path], f"  {path.name}")

    def close(self) -> None:
        """It is over."""
        for line in (*self._lines.values(), *(() if self._whole is None else (self._whole,))):
            BARS.end(line)
        if self._presented is not None:
            self._presented.finish()
