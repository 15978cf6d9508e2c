"""Trees: walked through a page at a time, their contents looked at, two of them side by side."""

from tvixbuild_nb.widgets.tree.forms import (
    diff_forms,
    node_bundle,
    roots_forms,
    tree_bundle,
    tree_forms,
    trees_bundle,
    trees_forms,
)

__all__ = ["diff_forms", "node_bundle", "roots_forms", "tree_bundle", "tree_forms", "trees_bundle", "trees_forms"]
