"""A list of runs in a running notebook: it grows with them."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.sandbox import RunHistory
from tvixbuild_nb.widgets.history.data import history_data
from tvixbuild_nb.widgets.history.detail import run_detail
from tvixbuild_nb.widgets.kit.live import LiveView, callable_from_front, front
from tvixbuild_nb.widgets.kit.pace import Updates

# Seconds between two looks.
_LOOK = 0.5


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
        # Short of a deleted record, nothing but these changes.
        now = tuple((run.id, run.status if run.record.path.exists() else "deleted") for run in self.history[-20:])
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
