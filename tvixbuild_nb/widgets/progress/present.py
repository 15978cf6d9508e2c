"""Progress on display while work goes on, replaced by one line without a widget when it is over."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tvixbuild_nb.castore.progress import Shown
from tvixbuild_nb.display import in_kernel
from tvixbuild_nb.widgets.kit.pace import Updates
from tvixbuild_nb.widgets.progress.forms import progress_forms

if TYPE_CHECKING:
    from tvixbuild_nb.widgets.progress.live import ProgressView

# Seconds; without anywidget the whole display is replaced each time.
_REPLACE = 0.5


class PresentedProgress:
    """One output of the cell that is being executed, and never more, whoever reads the notebook."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._display = f"tvixbuild-progress-{id(self):x}"
        self._lock = threading.Lock()
        self._finished = False
        self._view: ProgressView | None = None
        self._publish(update=False)
        self._updates = None if self._view is not None else Updates(self._step, _REPLACE)

    @classmethod
    def in_notebook(cls, shown: Shown) -> PresentedProgress | None:
        """Show it; None where there is no notebook."""
        return cls(shown) if in_kernel() else None

    def finish(self) -> None:
        """Leave one static line; again is harmless."""
        with self._lock:
            if self._finished:
                return
            self._finished = True
            self._publish(update=True)
        if self._updates is not None:
            self._updates.stop()
        if self._view is not None:
            self._view.close()

    def _step(self) -> bool:
        with self._lock:
            if not self._finished:
                self._publish(update=True)
            return not self._finished

    def _live(self) -> ProgressView:
        from tvixbuild_nb.widgets.progress.live import ProgressView

        self._view = ProgressView(self._shown)
        return self._view

    def _publish(self, *, update: bool) -> None:
        from IPython.display import publish_display_data

        forms = progress_forms(self._shown, None if update else self._live)
        publish_display_data(forms.bundle(), transient={"display_id": self._display}, update=update)
