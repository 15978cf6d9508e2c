"""A tree without a kernel: folded levels."""

from __future__ import annotations

from itertools import groupby

from tvixbuild_nb.widgets.kit import Html, fragment, tag
from tvixbuild_nb.widgets.tree.outline import Excerpt, Outline, describe, is_folder

MAX_ENTRIES = 500
SIGNS = {"added": "+ ", "removed": "− ", "changed": "~ ", "inside": "~ "}
_LINES = "white-space:pre-wrap;overflow-wrap:anywhere"
_CONTENTS = "margin:2px 0 2px 1.5em;white-space:pre-wrap;overflow-wrap:anywhere"
_USED = "background:#20a04030"
# Deeper levels are told of, not nested: browsers and readers both give up somewhere.
MAX_DEPTH = 40


def tree_html(seen: Excerpt) -> Html:
    """The excerpt as nested ``<details>``, the roots open, with their digests; says what is not shown."""
    return fragment(
        tag("p", seen.comparison) if seen.comparison else None,
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
    line = _marked(outline, depth)
    if not is_folder(row):
        text = tag("pre", outline.contents, style=_CONTENTS) if outline.contents is not None else None
        return tag("div", line, text)
    parts: list[Html] = []
    if depth < MAX_DEPTH:
        # Files one after the other are lines of one element: five hundred of them are in every saved notebook, and sent
        # along with every live view.
        for folded, entries in groupby(outline.below, _is_folded):
            if folded:
                parts += [_entry(entry, depth + 1) for entry in entries]
            else:
                lines = [
                    fragment("\n" if number else None, _marked(entry, depth + 1))
                    for number, entry in enumerate(entries)
                ]
                parts.append(tag("div", lines, style=_LINES))
    said = [f"looked for in vain: {', '.join(outline.missing)}"] if outline.missing else []
    hidden = outline.hidden if depth < MAX_DEPTH else None
    if hidden != 0:
        said.append("more, not shown" if hidden is None else f"{hidden} more, not shown")
    if outline.problem:
        said.append(outline.problem)
    if not outline.below and not said:
        said.append("empty")
    parts += [tag("div", tag("em", text)) for text in said]
    inside = tag("div", parts, style="padding-left:1.5em")
    return tag("details", tag("summary", line), inside, open=depth == 0)


def _is_folded(outline: Outline) -> bool:
    """Whether there is something to unfold: entries shown, or something to be said of them."""
    row = outline.row
    return is_folder(row) and bool(outline.below or outline.hidden == 0 or outline.problem or outline.missing)


def _marked(outline: Outline, depth: int) -> Html | str:
    """The line of an entry; what a build used has a tint behind it."""
    line = _line(outline, depth)
    return tag("span", line, style=_USED) if outline.row.get("used") else line


def _line(outline: Outline, depth: int) -> str:
    row = outline.row
    more = " …" if is_folder(row) and not _is_folded(outline) else ""
    return f"{label(row)} {describe(row if depth == 0 else row | {'digest': None})}".rstrip() + more
