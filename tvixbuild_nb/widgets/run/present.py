"""A run shown while it goes on: displayed when it starts, replaced by its last form when it is over."""

from __future__ import annotations

import sys
import threading
import weakref

from tvixbuild_nb.display import in_kernel
from tvixbuild_nb.sandbox import Run

# Which cell (its execution count) showed which run last.
_shown: weakref.WeakKeyDictionary[Run, int] = weakref.WeakKeyDictionary()


def _cell() -> int:
    return int(sys.modules["IPython"].get_ipython().execution_count)


def is_shown_by_this_cell(run: Run) -> bool:
    """Whether the cell that is being executed has shown ``run`` already."""
    return in_kernel() and _shown.get(run) == _cell()


class PresentedRun:
    """A run on display under the cell that is being executed."""

    def __init__(self, run: Run) -> None:
        from tvixbuild_nb.widgets.run.forms import RunForms

        self._forms = RunForms(run)
        self._display = f"tvixbuild-run-{run.id}-{id(self):x}"
        self._lock = threading.Lock()
        self._finished = False
        self._publish(update=False)
        _shown[run] = _cell()

    @classmethod
    def in_notebook(cls, run: Run) -> PresentedRun | None:
        """Show ``run``; None where there is no notebook: a terminal has the printed log."""
        return cls(run) if in_kernel() else None

    def finish(self) -> None:
        """Replace what is displayed by what is known now, so that a saved notebook holds the end; once."""
        with self._lock:
            if not self._finished:
                self._finished = True
                self._publish(update=True)

    def _publish(self, *, update: bool) -> None:
        from IPython.display import publish_display_data

        publish_display_data(self._forms.bundle(), transient={"display_id": self._display}, update=update)
