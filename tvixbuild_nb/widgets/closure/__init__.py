"""The builds of a closure: the graph with the state of each derivation, and where the time went."""

from tvixbuild_nb.widgets.closure.forms import closure_forms, present_closure

__all__ = ["closure_forms", "present_closure"]
