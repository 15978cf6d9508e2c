"""A run in a running notebook: watched until it is over, cancelled from the page, replayed by every view of it.

While a cell waits, ipykernel 7 hears the page at once; ipykernel 6 only when the cell is done. Stages, log and figures
come all the same, but there Cancel in the view waits as well: the notebook's stop button ends a run that a cell waits
for (the view says so when nobody answers), and ``sb.start()`` leaves the kernel free.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import traitlets

from tvixbuild_nb.sandbox import Run
from tvixbuild_nb.widgets.kit import Bundle
from tvixbuild_nb.widgets.kit.live import LiveView, callable_from_front, front
from tvixbuild_nb.widgets.kit.pace import Updates
from tvixbuild_nb.widgets.log.calls import LOG_PARTS, LogCalls
from tvixbuild_nb.widgets.log.source import LogSource
from tvixbuild_nb.widgets.run.data import run_data
from tvixbuild_nb.widgets.run.facts import run_facts

# Seconds between two looks at the record: stages are few.
_LOOK = 0.1


class RunView(LogCalls, LiveView):
    """Stages, what it uses, Cancel, log and verdict of one run. Closing it leaves the run alone.

    ``state`` is :func:`run_data`, as it was when anything of it changed that the page's own clock does not know: it
    reaches pages that are not there yet, or not any more. ``stored`` makes the forms of a notebook that is saved.
    """

    _esm = front("js", *LOG_PARTS, "steady", "runstored", "runparts", "run")
    _css = front("css", "log", "run")
    state = traitlets.Dict().tag(sync=True)

    def __init__(self, run: Run, source: LogSource, stored: Callable[[], Bundle]) -> None:
        self.run = run
        self._stored = stored
        self._looked = 0.0
        super().__init__(state=run_data(run_facts(run)))
        self.log_begin(source)
        self.updates = Updates(self._step)

    def _step(self) -> bool:
        if self.comm is None:
            return False
        more = self.log_push()
        now = time.monotonic()
        if more and now - self._looked < _LOOK:
            return True
        self._looked = now
        data = run_data(run_facts(self.run))
        if _lasting(data) != _lasting(self.state):
            self.state = data
        return more or bool(data["running"])

    @callable_from_front
    def run_state(self) -> dict[str, Any]:
        """Everything but the log, as it is now."""
        return run_data(run_facts(self.run))

    @callable_from_front
    def run_cancel(self) -> dict[str, Any]:
        """End the run; how it stands then. Again is harmless."""
        self.run.cancel()
        return self.run_state()

    @callable_from_front
    def run_stored(self) -> dict[str, Any]:
        """The forms that a saved notebook should hold, by MIME type, and the ``model`` whose output they belong to."""
        return {"model": self.model_id, "forms": self._stored()}

    def close(self) -> None:
        """No more updates; the run goes on."""
        if hasattr(self, "updates"):
            self.updates.stop()
        super().close()


def _lasting(data: dict[str, Any]) -> dict[str, Any]:
    """The data without what changes by itself as time goes by: the page has a clock of its own."""
    stages = [(stage["name"], stage["state"]) for stage in data["stages"]]
    return {**data, "elapsed": None, "drawn": None, "stages": stages}
