"""Many builds in a running notebook: the table follows them, and its buttons stop one or all."""

from __future__ import annotations

from typing import Any

import traitlets

from tvixbuild_nb.sandbox import Many
from tvixbuild_nb.widgets.kit.live import LiveView, callable_from_front, front
from tvixbuild_nb.widgets.kit.pace import Updates
from tvixbuild_nb.widgets.many.data import many_data

# Seconds between two looks: a table that changes more often cannot be read.
_LOOK = 0.3


class ManyView(LiveView):
    """Follows ``many`` until all are over. All of it is in one trait, so that it comes also while a cell waits; the
    page counts the seconds of what goes on. Closing it leaves the builds alone."""

    _esm = front("js", "arrange", "many")
    _css = front("css", "many")
    state = traitlets.Dict().tag(sync=True)

    def __init__(self, many: Many) -> None:
        self.many = many
        super().__init__(state=many_data(many))
        self.updates = Updates(self._step, _LOOK)

    def _step(self) -> bool:
        if self.comm is None:
            return False
        data = many_data(self.many)
        if data != self.state:
            self.state = data
        return not data["over"]

    @callable_from_front
    def many_cancel(self, number: int | None = None) -> dict[str, Any]:
        """End the build that answers the request ``number``, None for all; how they stand then. Again is harmless."""
        self.many.cancel(number)
        return many_data(self.many)

    def close(self) -> None:
        """No more updates; the builds go on."""
        if hasattr(self, "updates"):
            self.updates.stop()
        super().close()
