"""Which view draws which value."""

from __future__ import annotations

from tvixbuild_nb.display import register


def register_views() -> None:
    """Tell :mod:`tvixbuild_nb.display` of every view; again is harmless."""
    from tvixbuild_nb.oci import MountTable
    from tvixbuild_nb.widgets.mounts import mounts_forms

    register(MountTable, lambda table: mounts_forms(table).bundle())
