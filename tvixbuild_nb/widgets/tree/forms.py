"""The three forms of trees, of several trees, and of what differs between two."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tvixbuild_nb.castore import Tree
from tvixbuild_nb.fs import InputAccess
from tvixbuild_nb.widgets.kit import Forms
from tvixbuild_nb.widgets.tree import static, text
from tvixbuild_nb.widgets.tree.data import Places, Root
from tvixbuild_nb.widgets.tree.outline import excerpt

if TYPE_CHECKING:
    from tvixbuild_nb.widgets.tree.live import TreeView


def tree_forms(
    tree: Tree,
    *,
    needles: Sequence[str] | None = None,
    accesses: InputAccess | None = None,
    other: Tree | None = None,
) -> Forms:
    """How a tree shows itself. ``tree`` is there (:class:`NotFound` otherwise).

    ``needles``: the texts that were found in it; ``accesses``: what a build touched of it, for an input; ``other``:
    what it is compared with, as the state before.
    """
    name = os.fsdecode(tree.name_bytes) or "."
    return roots_forms([Root(name, tree, tuple(needles or ()), accesses, other, other is not None)])


def outputs_forms(outputs: Mapping[str, Tree], needles: Mapping[str, Sequence[str]] | None = None) -> Forms:
    """How a run's outputs show themselves: each output path a root, marked with the needles found in it."""
    found = needles or {}
    return roots_forms([Root(path, tree, tuple(found.get(path, ()))) for path, tree in outputs.items()])


def roots_forms(roots: Sequence[Root]) -> Forms:
    """Several trees in one view."""
    places = Places(roots)
    places.top()  # what is not there is told now, not when somebody looks

    def live() -> TreeView:
        from tvixbuild_nb.widgets.tree.live import TreeView

        return TreeView(roots, places)

    return Forms(
        text=lambda: text.tree_text(excerpt(places, text.MAX_ENTRIES)),
        html=lambda: static.tree_html(excerpt(places, static.MAX_ENTRIES)),
        live=live,
    )
