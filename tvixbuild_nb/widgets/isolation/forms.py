"""The three forms of an isolation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvixbuild_nb.build import Isolation
from tvixbuild_nb.widgets.isolation.data import isolation_data
from tvixbuild_nb.widgets.isolation.static import isolation_html
from tvixbuild_nb.widgets.kit import Forms

if TYPE_CHECKING:
    from tvixbuild_nb.widgets.isolation.live import IsolationView


def isolation_forms(value: Isolation) -> Forms:
    """How an isolation shows itself."""

    def live() -> IsolationView:
        # anywidget is an extra: loaded only where there is a kernel.
        from tvixbuild_nb.widgets.isolation.live import IsolationView

        return IsolationView(value)

    return Forms(text=lambda: value, html=lambda: isolation_html(isolation_data(value)), live=live)
