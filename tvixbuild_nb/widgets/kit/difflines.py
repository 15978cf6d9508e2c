"""Lines of a difference in static forms: each with its sign, and a tint that can be read on in light and dark."""

from __future__ import annotations

from collections.abc import Iterable

from tvixbuild_nb.widgets.kit.html import Child, Html, tag

# Behind the theme's own text, so thin that it keeps its contrast in both themes.
REMOVED = "background:#e0303030"
ADDED = "background:#20a04030"
_TINTS = {"-": REMOVED, "+": ADDED, "@": "opacity:0.75"}
_LINES = "font-family:monospace;white-space:pre-wrap;overflow-wrap:anywhere;margin:2px 0 2px 1.5em"
# Characters of a line; files may have lines of any length.
MAX_LINE = 400


def diff_lines(lines: Iterable[str]) -> Html:
    """Lines that begin with ``-``, ``+``, ``@`` or a space, as in a unified diff; of long ones the beginning."""
    return tag("div", [tag("div", _cut(line), style=_TINTS.get(line[:1])) for line in lines], style=_LINES)


def named(sign: str, name: str) -> Html:
    """The cell of what differs, with room for it; its sign stays with it."""
    return tag("div", tag("code", f"{sign}\u00a0{name}" if sign else name), style="min-width:17em")


def sides(old: str | None, new: str | None) -> tuple[Html | str, Html | str]:
    """The cells of what was and what is, each tinted; a dash where there is nothing."""
    return _side(old, REMOVED), _side(new, ADDED)


def _side(text: str | None, style: str) -> Html | str:
    return "–" if text is None else tag("code", text or "(empty)", style=style)


def _cut(line: str) -> Child:
    more = len(line) - MAX_LINE
    # A line of its own even where it is empty.
    return [line[:MAX_LINE], tag("em", f" [{more:,} more characters]")] if more > 0 else line or " "
