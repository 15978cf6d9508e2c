"""A run in a running notebook: watched until it is over, cancelled from the page, replayed by every view of it."""

from __future__ import annotations

import time
from typing import Any

import traitlets

from tvixbuild_nb.sandbox import Run
from tvixbuild_nb.widgets.kit.live import LiveView, callable_from_front, front
from tvixbuild_nb.widgets.kit.pace import Updates
from tvixbuild_nb.widgets.log.calls import LOG_PARTS, LogCalls
from tvixbuild_nb.widgets.log.source import LogSource
from tvixbuild_nb.widgets.run.data import run_data
from tvixbuild_nb.widgets.run.facts import run_facts

# Seconds between two looks at the record: stages are few.
_LOOK = 0.1


class RunView(LogCalls, LiveView):
    """Stages, Cancel, log and verdict of one run. Closing it leaves the run alone."""

    _esm = front("js", *LOG_PARTS, "runparts", "run")
    _css = front("css", "log", "run")
    first = traitlets.Dict().tag(sync=True)

    def __init__(self, run: Run, source: LogSource) -> None:
        self.run = run
        self._told: dict[str, Any] = {}
        self._looked = 0.0
        super().__init__(first=run_data(run_facts(run)))
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
        lasting = _lasting(data)
        if lasting != self._told:
            self._told = lasting
            self.tell("run", data)
        return more or bool(data["running"])

    @callable_from_front
    def run_state(self) -> dict[str, Any]:
        """Everything but the log, as it is now."""
        return run_data(run_facts(self.run))

    @callable_from_front
    def run_cancel(self) -> dict[str, Any]:
        """End the run; how it stands then."""
        self.run.cancel()
        return self.run_state()

    def close(self) -> None:
        """No more updates; the run goes on."""
        if hasattr(self, "updates"):
            self.updates.stop()
        super().close()


def _lasting(data: dict[str, Any]) -> dict[str, Any]:
    """The data without what changes by itself as time goes by: the page has a clock of its own."""
    stages = [(stage["name"], stage["state"]) for stage in data["stages"]]
    return {**data, "elapsed": None, "stages": stages}
