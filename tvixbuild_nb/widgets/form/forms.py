"""The three forms of a sandbox's request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvixbuild_nb.sandbox import Sandbox
from tvixbuild_nb.widgets.form.data import form_data
from tvixbuild_nb.widgets.form.static import form_html
from tvixbuild_nb.widgets.form.text import form_text
from tvixbuild_nb.widgets.kit import Forms

if TYPE_CHECKING:
    from tvixbuild_nb.widgets.form.live import FormView


def form_forms(sandbox: Sandbox) -> Forms:
    """How a sandbox shows itself: as the form of its request."""
    data = form_data(sandbox)

    def live() -> FormView:
        from tvixbuild_nb.widgets.form.live import FormView

        return FormView(sandbox)

    return Forms(text=lambda: form_text(data), html=lambda: form_html(data), live=live)
