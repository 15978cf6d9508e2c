"""Rows of changes: what, as it was, as it is; told apart by signs, words and tints."""

from __future__ import annotations

from collections.abc import Sequence

from tvixbuild_nb.request import Change
from tvixbuild_nb.widgets.kit import Html, fragment
from tvixbuild_nb.widgets.kit.difflines import named, sides
from tvixbuild_nb.widgets.kit.html import Child
from tvixbuild_nb.widgets.kit.tables import left_out, table
from tvixbuild_nb.widgets.tree.static import SIGNS

MAX_ROWS = 200


def changes_table(changes: Sequence[Change], caption: Child, names: tuple[str, str] = ("before", "after")) -> Html:
    """The first two hundred as a table; ``names``: what has the old values, what the new ones."""
    head = ("what", *names)
    rows = [_row(change) for change in changes[:MAX_ROWS]]
    return fragment(table(head, rows, long=head, caption=caption), left_out(len(changes) - MAX_ROWS, "changes"))


def _row(change: Change) -> tuple[Child, ...]:
    kind = "added" if change.old is None else "removed" if change.new is None else "changed"
    return named(SIGNS[kind].strip(), change.field), *sides(change.old, change.new)
