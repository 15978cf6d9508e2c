"""Tables of static forms: as wide as there is room for, never wider.

A box that scrolls would have to be reachable by keys, and JupyterLab takes ``tabindex`` out of what it does not trust:
so long text breaks wherever it must.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tvixbuild_nb.widgets.kit.html import Child, Html, tag

# Cells whose words stay whole, and cells that may break anywhere, a digest or a path in the middle.
WORDS = "text-align:left;vertical-align:top;padding:2px 6px;white-space:normal"
LONG = f"{WORDS};overflow-wrap:anywhere;min-width:6em;max-width:30em"


def table(
    head: Sequence[str], rows: Sequence[Sequence[Child]], *, long: Collection[str], caption: Child = None
) -> Html:
    """A table of ``rows`` below ``head``; the columns named in ``long`` hold text of any length."""
    styles = [LONG if name in long else WORDS for name in head]
    titles = [tag("th", name, style=WORDS, scope="col") for name in head]
    body = [tag("tr", [tag("td", cell, style=style) for cell, style in zip(row, styles, strict=True)]) for row in rows]
    top = tag("caption", caption, style="text-align:left") if caption else None
    return tag("table", top, tag("thead", tag("tr", titles)), tag("tbody", body))


def left_out(count: int, what: str) -> Html | None:
    """That ``count`` more of them are not shown; None where there are no more."""
    return tag("p", tag("em", f"{count:,} more {what} are not shown")) if count > 0 else None
