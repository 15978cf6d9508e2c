"""The three forms of trees, of several trees, of what differs between two, and of nodes on their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from tvixbuild_nb.castore import Castore, Node, SymlinkNode, Tree, TreeDiff
from tvixbuild_nb.errors import TvixBuildError
from tvixbuild_nb.sandbox import RunTree
from tvixbuild_nb.widgets.kit import Bundle, Forms, visible
from tvixbuild_nb.widgets.tree import static, text
from tvixbuild_nb.widgets.tree.code import node_code
from tvixbuild_nb.widgets.tree.outline import excerpt
from tvixbuild_nb.widgets.tree.places import Places
from tvixbuild_nb.widgets.tree.roots import Root

if TYPE_CHECKING:
    from tvixbuild_nb.widgets.tree.live import TreeView


def tree_forms(tree: Tree) -> Forms:
    """How a tree shows itself, one of a run's with what the run knows of it; :class:`NotFound` when it is not there."""
    return roots_forms([Root.of(tree)])


def diff_forms(diff: TreeDiff) -> Forms:
    """How a difference shows itself: both trees in one view."""
    return roots_forms([Root.of(diff.after, diff.before)])


def trees_forms(trees: Mapping[str, Tree]) -> Forms:
    """How a run's outputs or inputs show themselves: each a root."""
    return roots_forms([Root.of(tree, name=path) for path, tree in trees.items()])


def roots_forms(roots: Sequence[Root]) -> Forms:
    """Several trees in one view."""
    places = Places(roots)
    recorded = next((root.recorded for root in roots if root.recorded is not None), None)
    places.top()  # what is not there is told now, not when somebody looks

    def live() -> TreeView:
        from tvixbuild_nb.widgets.tree.live import TreeView

        return TreeView(roots, places)

    return Forms(
        text=lambda: text.tree_text(excerpt(places, text.MAX_ENTRIES)),
        html=lambda: static.tree_html(excerpt(places, static.MAX_ENTRIES)),
        live=live,
        note=None if recorded is None else str(recorded),
    )


def tree_bundle(tree: Tree) -> Bundle:
    """A Tree's bundle; it may name what is not there, and says so."""
    try:
        return tree_forms(tree).bundle()
    except TvixBuildError as error:
        said = f"{tree}: {error}"
        return {"text/plain": visible(tree.origin.redactor.text(said) if isinstance(tree, RunTree) else said)}


def trees_bundle(trees: Mapping[str, Tree]) -> Bundle:
    """The bundle of a run's outputs or inputs; there may be none."""
    return trees_forms(trees).bundle() if trees else {"text/plain": "{}"}


def node_bundle(node: Node, stores: Iterable[Castore]) -> Bundle:
    """The bundle of a node: its Tree's in the first of ``stores`` that has it; with none, how to open it elsewhere."""
    for castore in stores:
        if castore.has(node):
            return tree_bundle(castore.tree(node))
    how = "" if isinstance(node, SymlinkNode) else f"\n\n# to look into it:\n{node_code(node)}"
    return {"text/plain": visible(repr(node)) + how}
