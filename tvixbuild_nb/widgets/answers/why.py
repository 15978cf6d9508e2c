"""Where a reference stands: file, byte, and the bytes around it with the needle marked."""

from __future__ import annotations

from tvixbuild_nb.debug import Reference, Why
from tvixbuild_nb.widgets.kit import Forms, Html, tag
from tvixbuild_nb.widgets.kit.html import Child
from tvixbuild_nb.widgets.kit.tables import left_out, table

MAX_REFERENCES = 200
_HEAD = ("path", "in", "byte", "there")
_KINDS = {"contents": "contents", "symlink": "target of the symlink", "name": "name"}
# Not by the tint alone: bold and underlined.
_MARK = "background:#ffb00050;text-decoration:underline"


def why_forms(why: Why) -> Forms:
    """How the places of a reference show themselves."""
    return Forms(text=lambda: str(why), html=lambda: _html(why))


def _html(why: Why) -> Html:
    if not why.references:
        return tag("p", str(why))
    shown = why.references[:MAX_REFERENCES]
    more = "" if why.complete else " or more"
    places = "1 place" if len(why) == 1 else f"{len(why):,}{more} places"
    caption = f"{why.needle} is in the outputs, in {places}"
    rows = [_row(reference) for reference in shown]
    return tag(
        "div",
        table(_HEAD, rows, long=("path", "there"), caption=caption),
        left_out(len(why) - len(shown), "places"),
    )


def _row(reference: Reference) -> tuple[Child, ...]:
    first, end = reference.marked
    text = reference.context
    there = tag("code", text[:first], tag("b", text[first:end], style=_MARK), text[end:])
    return tag("code", reference.path), _KINDS[reference.kind], f"{reference.offset:,}", there
