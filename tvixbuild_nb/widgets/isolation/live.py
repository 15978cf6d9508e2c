"""An isolation in a running notebook."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.build import Isolation
from tvixbuild_nb.widgets.isolation.data import isolation_data
from tvixbuild_nb.widgets.kit.live import LiveView, callable_from_front, front


class IsolationView(LiveView):
    """The panels; capabilities, paths and limits can be filtered in the page."""

    _esm = front("js", "isolation")
    _css = front("css", "isolation")

    def __init__(self, value: Isolation) -> None:
        self._data = isolation_data(value)
        super().__init__()

    @callable_from_front
    def everything(self) -> dict[str, Any]:
        """All there is to show: some 20 kB, whatever the build."""
        return self._data
