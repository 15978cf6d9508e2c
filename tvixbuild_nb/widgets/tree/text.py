"""A tree in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvixbuild_nb.widgets.tree.outline import Excerpt, Outline, describe, is_folder
from tvixbuild_nb.widgets.tree.roots import shortened
from tvixbuild_nb.widgets.tree.static import MAX_DEPTH, label, rest

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

MAX_ENTRIES = 40
MAX_LABEL = 80


def tree_text(seen: Excerpt) -> RenderableType:
    """The excerpt as rich trees."""
    from rich.console import Group
    from rich.text import Text
    from rich.tree import Tree

    def grow(branch: Tree, outline: Outline, depth: int) -> None:
        for below in outline.below if depth < MAX_DEPTH else ():
            grow(branch.add(_line(below)), below, depth + 1)
        if outline.hidden and outline.below:
            branch.add(Text(f"{outline.hidden} more, not shown", style="dim italic"))
        if outline.missing:
            branch.add(Text(f"looked for in vain: {', '.join(outline.missing)}", style="dim italic"))
        if outline.problem:
            branch.add(Text(outline.problem, style="red"))
        if outline.contents is not None:
            branch.add(Text(outline.contents))

    parts: list[RenderableType] = [Text(seen.comparison)] if seen.comparison else []
    for root in seen.roots:
        branch = Tree(_line(root))
        grow(branch, root, 0)
        parts.append(branch)
    if rest(seen):
        parts.append(Text(rest(seen), style="dim"))
    return Group(*parts)


def _line(outline: Outline) -> Text:
    from rich.text import Text

    row = outline.row
    style = {"added": "green", "removed": "red", "changed": "yellow"}.get(row.get("change", ""), "")
    if not style:
        style = "bold blue" if is_folder(row) else "cyan" if row["kind"] == "symlink" else ""
    return Text.assemble((shortened(label(row), MAX_LABEL), style), "  ", (describe(row), "dim"), overflow="fold")
