"""The three forms of a list of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvixbuild_nb.sandbox import RunHistory
from tvixbuild_nb.widgets.history.data import history_data
from tvixbuild_nb.widgets.history.static import history_html
from tvixbuild_nb.widgets.history.text import history_text
from tvixbuild_nb.widgets.kit import Forms

if TYPE_CHECKING:
    from tvixbuild_nb.widgets.history.live import HistoryView


def history_forms(history: RunHistory) -> Forms:
    """How a list of runs shows itself."""
    data = history_data(history)

    def live() -> HistoryView:
        from tvixbuild_nb.widgets.history.live import HistoryView

        return HistoryView(history)

    return Forms(text=lambda: history_text(data), html=lambda: history_html(data), live=live)
