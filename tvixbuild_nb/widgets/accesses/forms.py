"""The forms of an access trace: tables that do not change, so that the static one is all there is."""

from __future__ import annotations

from tvixbuild_nb.fs import AccessTrace
from tvixbuild_nb.widgets.accesses.static import accesses_html
from tvixbuild_nb.widgets.kit import Forms


def accesses_forms(trace: AccessTrace) -> Forms:
    """How an access trace shows itself."""
    return Forms(text=lambda: trace, html=lambda: accesses_html(trace))
