"""A run's log: followed live, scrolled to any of a million lines, searched, folded."""

from tvixbuild_nb.widgets.log.forms import log_forms
from tvixbuild_nb.widgets.log.source import LogSource

__all__ = ["LogSource", "log_forms"]
