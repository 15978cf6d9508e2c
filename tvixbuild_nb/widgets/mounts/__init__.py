"""The mount table: every mount in order, what it is, where it comes from, who asked for it."""

from tvixbuild_nb.widgets.mounts.forms import mounts_forms

__all__ = ["mounts_forms"]
