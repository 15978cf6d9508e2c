"""One notebook, executed from top to bottom in a kernel of its own."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, CellExecutionError, CellTimeoutError, DeadKernelError

from tvixbuild_nb.lab.notebooks.reports import CellPlace, NotebookFailure
from tvixbuild_nb.lab.notebooks.surroundings import Surroundings
from tvixbuild_nb.sandbox.printer import harmless

STARTUP = 60.0
# Where a kernel's own messages go: they are of interest when it died.
_SAID = "kernel.log"
_PYTHON = re.compile(r"python\d*\Z")
# What a Unix socket's path may have, less what is added to it.
_SOCKET = 100
# Lines and characters of an error that are shown; the notebook's author can have all of it by executing it.
_LINES, _WIDE = 12, 400

Step = Callable[[int, int], None]
"""Is told which of how many code cells was begun."""


@dataclass(slots=True)
class Execution:
    """A notebook that is being executed in place: ``notebook`` has the outputs as far as it went.

    ``timeout``: seconds for each cell.
    """

    notebook: Any
    path: Path
    timeout: float
    step: Step
    _begun: CellPlace | None = None

    async def execute(self, around: Surroundings) -> NotebookFailure | None:
        """Execute every cell; what went wrong, or None. The kernel is gone afterwards, whatever happened."""
        try:
            async with self._kernel(around) as (manager, channels):
                client = NotebookClient(
                    self.notebook,
                    km=manager,
                    timeout=self.timeout,
                    store_widget_state=False,
                    record_timing=False,
                    on_cell_start=self._on_cell,
                    # What it says to a log is said in the report.
                    log=logging.Logger("nbclient", logging.CRITICAL),
                )
                client.kc = channels
                await client.async_execute()
        except NoSuchKernel as error:
            return NotebookFailure(f"there is no kernel {error.name!r} here")
        except DeadKernelError:
            return NotebookFailure("the kernel died", _end((around.home / _SAID).read_text(errors="replace")), self._begun)
        except CellControlSignal as error:
            return self._failure(error)
        except _NotStarted as error:
            return NotebookFailure("the kernel did not start", str(error).strip())
        return None

    @asynccontextmanager
    async def _kernel(self, around: Surroundings) -> AsyncIterator[tuple[AsyncKernelManager, Any]]:
        """A kernel that answers: this Python's own for what is Python, whatever else is registered here."""
        name = self.notebook.metadata.get("kernelspec", {}).get("name", "python3")
        own = {"kernel_spec_manager": KernelSpecManager(kernel_dirs=[])} if _PYTHON.match(name) else {}
        manager = AsyncKernelManager(kernel_name="python3" if own else name, **own, **_transport(around.home))
        channels = None
        place = str(self.path.resolve().parent)
        said = around.home / _SAID
        try:
            with said.open("wb") as file:
                await manager.start_kernel(env=dict(around.environment), cwd=place, stdout=file, stderr=file)
            channels = manager.client()
            channels.start_channels()
            try:
                await channels.wait_for_ready(timeout=STARTUP)
            except RuntimeError as error:
                raise _NotStarted(f"{error}\n{_end(said.read_text(errors='replace'))}") from error
            channels.allow_stdin = False
            yield manager, channels
        finally:
            if channels is not None:
                channels.stop_channels()
            if manager.has_kernel:
                await manager.shutdown_kernel(now=False)

    def _on_cell(self, cell: Any, cell_index: int) -> None:
        cells = self.notebook.cells
        if is_code(cell):
            number = count_code(cells[: cell_index + 1])
            self._begun = CellPlace.of(cell, number)
            self.step(number, count_code(cells))

    def _failure(self, error: Exception) -> NotebookFailure:
        if isinstance(error, CellExecutionError):
            what, text = f"{error.ename}: {error.evalue}", _end(error.traceback)
        elif isinstance(error, CellTimeoutError):
            what, text = f"it took longer than {self.timeout:g} s", ""
        else:
            what, text = type(error).__name__, _end(str(error))
        return NotebookFailure(_end(what), text, self._begun)


class _NotStarted(Exception):
    """The kernel's process said nothing."""


def _transport(home: Path) -> dict[str, str]:
    """Sockets in a directory that is closed to other users, where there is such a thing."""
    address = str(home / "kernel")
    if sys.platform == "win32" or len(address) > _SOCKET:
        return {}
    return {"transport": "ipc", "ip": address, "connection_file": f"{address}.json"}


def is_code(cell: Any) -> bool:
    """Whether a kernel is given this cell."""
    return cell["cell_type"] == "code" and bool(cell["source"].strip())


def count_code(cells: list[Any]) -> int:
    return sum(map(is_code, cells))


def _end(text: str) -> str:
    lines = harmless(text, colours=False).rstrip().split("\n")
    left_out = [f"[... {len(lines) - _LINES} lines ...]"] if len(lines) > _LINES else []
    return "\n".join(line[:_WIDE] for line in (*left_out, *lines[-_LINES:]))
