"""Trees: walked through a page at a time, their contents looked at, two of them side by side."""

from tvixbuild_nb.widgets.tree.forms import outputs_forms, roots_forms, tree_forms

__all__ = ["outputs_forms", "roots_forms", "tree_forms"]
