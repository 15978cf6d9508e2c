"""A log in a running notebook."""

from __future__ import annotations

from tvixbuild_nb.widgets.kit.live import LiveView, front
from tvixbuild_nb.widgets.kit.pace import Updates
from tvixbuild_nb.widgets.log.calls import LOG_PARTS, LogCalls
from tvixbuild_nb.widgets.log.source import LogSource


class LogView(LogCalls, LiveView):
    """The log alone; it follows a run until that is over."""

    _esm = front("js", *LOG_PARTS, "log")
    _css = front("css", "log")

    def __init__(self, source: LogSource) -> None:
        super().__init__()
        self.log_begin(source)
        self.updates = Updates(self._step)

    def _step(self) -> bool:
        return self.comm is not None and self.log_push()

    def close(self) -> None:
        """No more updates; the run goes on."""
        if hasattr(self, "updates"):
            self.updates.stop()
        super().close()
