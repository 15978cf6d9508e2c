"""The three forms of a run's log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvixbuild_nb.sandbox import RunLog
from tvixbuild_nb.widgets.kit import Forms
from tvixbuild_nb.widgets.log.excerpt import excerpt
from tvixbuild_nb.widgets.log.source import LogSource
from tvixbuild_nb.widgets.log.static import log_html
from tvixbuild_nb.widgets.log.text import log_text

if TYPE_CHECKING:
    from tvixbuild_nb.widgets.log.live import LogView

_PATIENCE = 2.0
_TEXT_FIRST, _TEXT_LAST, _TEXT_WIDE = 20, 30, 200


def log_forms(log: RunLog) -> Forms:
    """How a log shows itself; the values of the run's secrets are in none of its forms."""
    source = LogSource(log.record, redactor=log.redactor)
    source.advance(_PATIENCE)

    def live() -> LogView:
        from tvixbuild_nb.widgets.log.live import LogView

        return LogView(source)

    return Forms(
        text=lambda: log_text(excerpt(source, _TEXT_FIRST, _TEXT_LAST, _TEXT_WIDE)),
        html=lambda: log_html(excerpt(source)),
        live=live,
        note=None if log.recorded is None else str(log.recorded),
    )
