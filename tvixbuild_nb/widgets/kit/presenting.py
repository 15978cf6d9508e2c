"""Something that changes on display under a cell: one output, replaced by its last form when it is over."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from tvixbuild_nb.widgets.kit.forms import Forms
from tvixbuild_nb.widgets.kit.pace import Updates

if TYPE_CHECKING:
    from tvixbuild_nb.widgets.kit.live import LiveView

# Seconds; without a live form the whole display is replaced each time.
_REPLACE = 0.5


class Presenting:
    """One output of the cell that is being executed, and never more, whoever reads the notebook.

    Parameters: ``forms`` makes the forms as they are now, with the live one that it is given; ``live`` makes that, and
    follows the value by itself. Where it is None or cannot be had, the display is replaced twice a second.
    """

    def __init__(
        self, forms: Callable[[Callable[[], LiveView] | None], Forms], live: Callable[[], LiveView] | None = None
    ) -> None:
        self._forms = forms
        self._make = live
        self._display = f"tvixbuild-{id(self):x}"
        self._lock = threading.Lock()
        self._finished = False
        self._view: LiveView | None = None
        self._publish(update=False)
        self._updates = None if self._view is not None else Updates(self._step, _REPLACE)

    def finish(self) -> None:
        """Leave the static form; again is harmless."""
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

    def _live(self) -> LiveView:
        assert self._make is not None
        self._view = self._make()
        return self._view

    def _publish(self, *, update: bool) -> None:
        from IPython.display import publish_display_data

        forms = self._forms(None if update or self._make is None else self._live)
        publish_display_data(forms.bundle(), transient={"display_id": self._display}, update=update)
