"""Runs in order: when, what changed, how each ended."""

from tvixbuild_nb.widgets.history.forms import history_forms

__all__ = ["history_forms"]
