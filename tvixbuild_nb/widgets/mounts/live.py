"""A mount table in a running notebook."""

from __future__ import annotations

from typing import Any

import traitlets

from tvixbuild_nb.oci import MountTable
from tvixbuild_nb.widgets.kit import visible
from tvixbuild_nb.widgets.kit.live import LiveView, callable_from_front, front
from tvixbuild_nb.widgets.mounts.data import (
    KINDS,
    columns,
    default_open,
    mounts_data,
    select,
    tree_rows,
    unplanned_data,
)

PAGE = 300


class MountsView(LiveView):
    """The table, sorted and filtered in the kernel; the tree of ``/``, and what else was seen."""

    _esm = front("js", "tabs", "mountrows", "foldkeys", "mounttree", "mounts")
    _css = front("css", "tabs", "mounts")
    summary = traitlets.Dict().tag(sync=True)

    def __init__(self, table: MountTable) -> None:
        self._rows = mounts_data(table)
        self._root = table.root
        self._unplanned = unplanned_data(table)
        super().__init__(
            summary={
                "mounts": len(self._rows),
                "columns": columns(self._rows, observed=table.observed),
                "observed": table.observed,
                "unplanned": len(self._unplanned),
                "kinds": [kind for kind in KINDS if table.observed or kind != "not as asked"],
                "refused": None if table.refused is None else visible(table.refused),
                "open": [] if table.root is None else default_open(table.root),
            }
        )

    @callable_from_front
    def rows(self, by: str, descending: bool, find: str, kind: str, count: int = PAGE) -> dict[str, Any]:
        """The first ``count`` rows of those that match, and how many match."""
        found = select(self._rows, by=by, descending=descending, find=find, kind=kind)
        return {"matching": len(found), "rows": found[:count]}

    @callable_from_front
    def tree(self, opened: list[int]) -> dict[str, Any]:
        """The tree's rows with these nodes open."""
        if self._root is None:
            return {"rows": [], "more": 0}
        rows, more = tree_rows(self._root, frozenset(opened))
        return {"rows": rows, "more": more}

    @callable_from_front
    def unplanned(self, count: int = PAGE) -> dict[str, Any]:
        """The first ``count`` of what was mounted besides, and how many there are."""
        return {"matching": len(self._unplanned), "rows": self._unplanned[:count]}
