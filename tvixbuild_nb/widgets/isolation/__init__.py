"""Isolation: one process from the host and from inside, side by side."""

from tvixbuild_nb.widgets.isolation.forms import isolation_forms

__all__ = ["isolation_forms"]
