"""The forms of an explanation on its own."""

from __future__ import annotations

from tvixbuild_nb.debug import Explanation
from tvixbuild_nb.widgets.kit import Forms, Html, tag, visible
from tvixbuild_nb.widgets.run.data import findings_data
from tvixbuild_nb.widgets.run.static import findings_html

_LINES = "white-space:pre-wrap;overflow-wrap:anywhere"


def explanation_forms(explanation: Explanation) -> Forms:
    """How an explanation shows itself: it does not change."""
    return Forms(text=lambda: str(explanation), html=lambda: _html(explanation))


def _html(explanation: Explanation) -> Html:
    if not explanation.wrong:
        return tag("p", str(explanation))
    notes = "\n".join(explanation.notes())
    return tag("div", findings_html(findings_data(explanation, visible)), tag("div", notes, style=_LINES))
