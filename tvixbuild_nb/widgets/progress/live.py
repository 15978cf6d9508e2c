"""A line of progress in a running notebook."""

from __future__ import annotations

import traitlets

from tvixbuild_nb.castore.progress import Shown
from tvixbuild_nb.widgets.kit.live import LiveView, front
from tvixbuild_nb.widgets.kit.pace import Updates
from tvixbuild_nb.widgets.progress.data import progress_data

# Seconds: digits that change more often cannot be read.
PACE = 0.1


class ProgressView(LiveView):
    """Follows ``shown`` until it is over, ten times a second at most. All of it is in one small trait: there is no
    kernel to ask anything while a cell works."""

    _esm = front("js", "progress")
    _css = front("css", "progress")
    line = traitlets.Dict().tag(sync=True)

    def __init__(self, shown: Shown) -> None:
        super().__init__(line=progress_data(shown))
        self._shown = shown
        self.updates = Updates(self._step, PACE)

    def _step(self) -> bool:
        if self.comm is None:
            return False
        self.line = progress_data(self._shown)
        return not self._shown.over

    def close(self) -> None:
        """No more updates; the work goes on."""
        if hasattr(self, "updates"):
            self.updates.stop()
        super().close()
