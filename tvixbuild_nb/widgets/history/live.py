"""A list of runs in a running notebook: it grows with them, and each opens where it stands."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.sandbox import Run, RunHistory
from tvixbuild_nb.widgets.history.data import history_data
from tvixbuild_nb.widgets.history.detail import run_detail
from tvixbuild_nb.widgets.kit.live import LiveView, callable_from_front, front
from tvixbuild_nb.widgets.kit.pace import Updates
from tvixbuild_nb.widgets.run import RunForms

# Seconds between two looks.
_LOOK = 0.5
_RECENT = 20
# Views of runs that are kept; opening one more closes the one that was opened first.
MOST_OPEN = 10


class HistoryView(LiveView):
    """The newest runs; opened ones tell every change and show the run's own view, made when it is asked for.

    Closing the list closes those views; the runs go on.
    """

    _esm = front("js", "arrange", "history")
    _css = front("css", "history")

    def __init__(self, history: RunHistory) -> None:
        self.history = history
        self._opened: dict[str, RunForms] = {}
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
        """More of one run; ``view`` is the model of its view, None where there is none to be had."""
        detail = run_detail(self.history, run)
        return {**detail, "view": self._open(run) if detail["verdict"] is None else None}

    def _open(self, id: str) -> str | None:
        run = self.history.find(id)
        if run is None:
            return None
        if id not in self._opened:
            while len(self._opened) >= MOST_OPEN:
                self._opened.pop(next(iter(self._opened))).live().close()
            self._opened[id] = RunForms(run)
        return str(self._opened[id].live().model_id)

    def close(self) -> None:
        """No more updates; the runs go on."""
        if hasattr(self, "updates"):
            self.updates.stop()
        while self._opened:
            self._opened.popitem()[1].live().close()
        super().close()


def _status(run: Run) -> str:
    try:
        return run.status if run.record.path.exists() else "deleted"
    except (OSError, ValueError):
        return "damaged"
