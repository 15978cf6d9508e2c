"""A mount table in a running notebook."""

from __future__ import annotations

from typing import Any

import traitlets

from tvixbuild_nb.widgets.kit.live import LiveView, front


class MountsView(LiveView):
    """The table, sortable and filterable in the page."""

    _esm = front("js", "mounts")
    _css = front("css", "mounts")
    rows = traitlets.List(traitlets.Dict()).tag(sync=True)

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        super().__init__(rows=rows)
