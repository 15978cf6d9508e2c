"""The three forms of a preview, of a configuration alone, and of a diff."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvixbuild_nb.oci import Diff, Preview, Spec
from tvixbuild_nb.widgets.kit import Forms
from tvixbuild_nb.widgets.preview.data import Shown, diff_data
from tvixbuild_nb.widgets.preview.static import diff_html, preview_html
from tvixbuild_nb.widgets.preview.text import preview_text

if TYPE_CHECKING:
    from tvixbuild_nb.widgets.preview.live import PreviewView


def preview_forms(value: Preview | Spec) -> Forms:
    """How a preview, or a configuration alone, shows itself."""
    shown = Shown.of(value)

    def live() -> PreviewView:
        from tvixbuild_nb.widgets.preview.live import PreviewView

        return PreviewView(value)

    return Forms(text=lambda: preview_text(shown), html=lambda: preview_html(shown), live=live)


def diff_forms(diff: Diff) -> Forms:
    """How a diff shows itself: it does not change, so a table is enough everywhere."""
    return Forms(text=lambda: diff, html=lambda: diff_html(diff_data(diff)))
