"""What differs in trees, the smallest change first, of files also how; one bound for all trees of a view."""

from __future__ import annotations

from collections.abc import Iterable

from tvixbuild_nb.castore import FileNode, TreeDiff
from tvixbuild_nb.castore.compare import Change, became
from tvixbuild_nb.castore.progress import human
from tvixbuild_nb.errors import TvixBuildError
from tvixbuild_nb.request import Redactor
from tvixbuild_nb.widgets.kit import Html, tag
from tvixbuild_nb.widgets.kit.difflines import diff_lines
from tvixbuild_nb.widgets.kit.html import Child
from tvixbuild_nb.widgets.tree.roots import Root
from tvixbuild_nb.widgets.tree.static import SIGNS

MAX_CHANGES = 150
MAX_CONTENTS = 10
_LIST = "list-style:none;padding-left:1em;margin:2px 0"


class TreeChanges:
    """Draws what differs in one tree after the other; ``roots``: those trees, for a live form to open.

    ``hides``: values of secrets are in nothing it draws.
    """

    def __init__(self, hides: Iterable[Redactor] = ()) -> None:
        self.roots: list[Root] = []
        self._hides = tuple(hide for hide in hides if hide)
        self._changes = MAX_CHANGES
        self._contents = MAX_CONTENTS

    def html(self, name: str, diff: TreeDiff, *, contents: bool = True) -> Html:
        """The changes of one tree as a list; ``contents``: of files also how."""
        root = Root(name, diff.after, diff.before, hides=self._hides)
        self.roots.append(root)
        try:
            found = diff.smallest(self._changes + 1)
        except TvixBuildError as error:
            return tag("p", root.shown(str(error)))
        shown = found[: self._changes]
        self._changes -= len(shown)
        rows = [self._row(root, diff, change, contents) for change in shown]
        more = tag("p", tag("em", f"and more, not shown: these are {len(rows)} of the smallest"))
        return tag("div", tag("ul", rows, style=_LIST) if rows else None, more if len(found) > len(rows) else None)

    def _row(self, root: Root, diff: TreeDiff, change: Change, contents: bool) -> Html:
        path = root.shown(b"/".join(change.path) or root.name)
        words = root.hidden(became(change)) or _amount(change)
        inside = self._inside(root, diff, change) if contents and change.kind == "changed" else None
        return tag("li", tag("code", f"{SIGNS[change.kind]}{path}"), words, inside)

    def _inside(self, root: Root, diff: TreeDiff, change: Change) -> Child:
        files = isinstance(change.before, FileNode) and isinstance(change.after, FileNode)
        if not files:
            return None
        if self._contents <= 0:
            return tag("em", " (how is not shown)")
        self._contents -= 1
        try:
            found = diff.contents(change, root.hidden)
        except TvixBuildError as error:
            return tag("div", root.shown(str(error)))
        return None if found is None else [f", {found.headline}", diff_lines(found.lines) if found.lines else None]


def _amount(change: Change) -> str:
    """How much came or went, in words that begin with a space."""
    if change.kind == "changed":
        return ""
    entries, size = change.size
    if isinstance(change.after or change.before, FileNode):
        return f" {human(size)}"
    return f" {entries:,} entries" if entries > 1 else ""
