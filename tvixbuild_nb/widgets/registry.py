"""Which view draws which value."""

from __future__ import annotations

from tvixbuild_nb.display import register


def register_views() -> None:
    """Tell :mod:`tvixbuild_nb.display` of every view; again is harmless."""
    from tvixbuild_nb.oci import MountTable
    from tvixbuild_nb.sandbox import RunLog
    from tvixbuild_nb.widgets.log import log_forms
    from tvixbuild_nb.widgets.mounts import mounts_forms

    register(MountTable, lambda table: mounts_forms(table).bundle())
    register(RunLog, lambda log: log_forms(log).bundle())
