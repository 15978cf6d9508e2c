"""A list of runs in a running notebook: it grows with them."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.sandbox import Run, RunHistory
from tvixbuild_nb.widgets.history.data import history_data
from tvixbuild_nb.widgets.history.detail import run_detail
from tvixbuild_nb.widgets.kit.live import LiveView, callable_from_front, front
from tvixbuild_nb.widgets.kit.pace import Updates

# Seconds between two looks.
_LOOK = 0.5
_RECENT = 20


class HistoryView(LiveView):
    """The newest runs; opened ones tell their verdict and every change."""

    _esm = front("js", "history")
    _css = front("css", "history")

    def __init__(self, history: RunHistory) -> None:
        self.history = history
        self._told: tuple[tuple[str, str], ...] | None = None
        super().__init__()
        self.updates = Updates(self._step, _LOOK)

    def _step(self) -> bool:
        if self.comm is None:
            return False
        # Older ones are over, and only somebody who deletes them changes that.
        now = tuple((run.id, _status(run)) for run in self.history[-_RECENT:])
        if self._told is not None and now != self._told:
            self.tell("history", history_data(self.history))
        self._told = now
        return True

    @callable_from_front
    def history_state(self) -> dict[str, Any]:
        """Everything the list shows."""
        return history_data(self.history)

    @callable_from_front
    def history_detail(self, run: str) -> dict[str, Any]:
        """More of one run."""
        return run_detail(self.history, run)

    def close(self) -> None:
        """No more updates; the runs go on."""
        if hasattr(self, "updates"):
            self.updates.stop()
        super().close()


def _status(run: Run) -> str:
    try:
        return run.status if run.record.path.exists() else "deleted"
    except (OSError, ValueError):
        return "damaged"
