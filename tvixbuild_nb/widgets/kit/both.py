"""The static form in one of ipywidgets' own controls; it gives way to the live form once that is painted, or stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipywidgets import HTML, VBox

from tvixbuild_nb.widgets.kit.html import Html

if TYPE_CHECKING:
    from tvixbuild_nb.widgets.kit.live import LiveView

# The class tvixbuild is on what a front end of ours painted: until then its place is empty, or an error of the host's.
_STYLE = """<style>
.tvixbuild-both:not(.tvixbuild-stays):has(> .tvixbuild-static ~ * .tvixbuild) > .tvixbuild-static { display: none; }
.tvixbuild-both > .tvixbuild-static ~ *:not(:has(.tvixbuild)) { display: none; }
.tvixbuild-static > .widget-html-content { line-height: normal; }
.tvixbuild-static table { margin-left: 0; margin-right: auto; }
</style>"""


def both(static: Html, live: LiveView, *, stays: bool = False) -> VBox:
    """A widget that shows ``static``, and ``live`` in its stead as soon as its front end was fetched and has painted.

    With ``stays`` both are shown then, the live one below. The page decides, by style alone: nothing is asked of the
    kernel, which may be busy.
    """
    kept = HTML(_STYLE + static)
    kept.add_class("tvixbuild-static").add_class("jp-RenderedHTMLCommon")
    box = VBox([kept])
    box.add_class("tvixbuild-both")
    if stays:
        box.add_class("tvixbuild-stays")
    # Later than the box: a host that refuses what it could not fetch refuses this change, not the box.
    box.children = (kept, live)
    return box
