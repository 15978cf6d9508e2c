"""A tree without a kernel: folded levels."""

from __future__ import annotations

from tvixbuild_nb.widgets.kit import Html, fragment, tag
from tvixbuild_nb.widgets.tree.outline import Excerpt, Outline, describe, is_folder

MAX_ENTRIES = 500
SIGNS = {"added": "+ ", "removed": "− ", "changed": "~ ", "inside": "~ "}
# Deeper levels are told of, not nested: browsers and readers both give up somewhere.
MAX_DEPTH = 40


def tree_html(seen: Excerpt) -> Html:
    """The excerpt as nested ``<details>``, the roots open, with their digests; says what is not shown."""
    return fragment(
        tag("div", [_entry(root, 0) for root in seen.roots], style="font-family:monospace;font-size:12px"),
        tag("p", rest(seen)) if rest(seen) else None,
    )


def rest(seen: Excerpt) -> str:
    """What the excerpt leaves out, in words; empty when that is nothing."""
    if seen.hidden == 0:
        return ""
    if seen.hidden is None:
        return f"The first {seen.shown} changes are shown; there are more."
    return f"{seen.shown} entries are shown, {seen.hidden} are not."


def label(row: dict[str, object]) -> str:
    """Name, and where a link leads."""
    sign = SIGNS.get(str(row.get("change")), "")
    slash = "/" if is_folder(row) else ""
    return f"{sign}{row['name']}{slash}" + (f" → {row['target']}" if "target" in row else "")


def _entry(outline: Outline, depth: int) -> Html:
    row = outline.row
    # Five hundred of these are in every saved notebook, and sent along with every live view: no byte too many.
    line = f"{label(row)} {describe(row if depth == 0 else row | {'digest': None})}".rstrip()
    if not is_folder(row):
        return tag("div", line)
    if not outline.below and outline.hidden and not outline.problem:
        return tag("div", line, " …")
    below: list[Html] = []
    if depth < MAX_DEPTH:
        below = [_entry(entry, depth + 1) for entry in outline.below]
    hidden = outline.hidden if depth < MAX_DEPTH else None
    if hidden != 0:
        below.append(tag("div", tag("em", "more, not shown" if hidden is None else f"{hidden} more, not shown")))
    if outline.problem:
        below.append(tag("div", tag("em", outline.problem)))
    inside = tag("div", below or [tag("em", "empty")], style="padding-left:1.5em")
    return tag("details", tag("summary", line), inside, open=depth == 0)
