"""The three forms of a mount table."""

from __future__ import annotations

from tvixbuild_nb.oci import MountTable
from tvixbuild_nb.widgets.kit import Forms
from tvixbuild_nb.widgets.mounts.data import mounts_data
from tvixbuild_nb.widgets.mounts.static import mounts_html


def mounts_forms(table: MountTable) -> Forms:
    """How a mount table shows itself."""
    data = mounts_data(table)

    def live() -> MountsView:
        return MountsView(data)

    from tvixbuild_nb.widgets.mounts.live import MountsView

    return Forms(text=lambda: table, html=lambda: mounts_html(data), live=live)
