"""The forms of an explanation on its own."""

from __future__ import annotations

from rich.text import Text

from tvixbuild_nb.debug import Explanation
from tvixbuild_nb.widgets.kit import Forms, Html, tag, visible
from tvixbuild_nb.widgets.run.data import findings_data
from tvixbuild_nb.widgets.run.static import findings_html


def explanation_forms(explanation: Explanation) -> Forms:
    """How an explanation shows itself: it does not change."""
    return Forms(text=lambda: Text(str(explanation)), html=lambda: _html(explanation))


def _html(explanation: Explanation) -> Html:
    found = findings_html(findings_data(explanation, visible))
    return found or tag("div", str(explanation), style="white-space:pre-wrap;overflow-wrap:anywhere")
