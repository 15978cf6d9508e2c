"""The three forms of a mount table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvixbuild_nb.oci import MountTable
from tvixbuild_nb.widgets.kit import Forms
from tvixbuild_nb.widgets.mounts.static import mounts_html

if TYPE_CHECKING:
    from tvixbuild_nb.widgets.mounts.live import MountsView


def mounts_forms(table: MountTable) -> Forms:
    """How a mount table shows itself."""

    def live() -> MountsView:
        # anywidget is an extra: loaded only where there is a kernel.
        from tvixbuild_nb.widgets.mounts.live import MountsView

        return MountsView(table)

    return Forms(text=lambda: table, html=lambda: mounts_html(table), live=live, note=table.note)
