"""The forms of a closure's builds; while they go on, the static one is replaced."""

from __future__ import annotations

from rich.text import Text

from tvixbuild_nb.display import in_kernel
from tvixbuild_nb.nix.closurebuild import ClosureBuild
from tvixbuild_nb.widgets.closure.data import closure_data
from tvixbuild_nb.widgets.closure.static import closure_html
from tvixbuild_nb.widgets.kit import Forms, visible
from tvixbuild_nb.widgets.kit.presenting import Presenting


def closure_forms(build: ClosureBuild) -> Forms:
    """How it shows itself as it is now."""
    return Forms(
        text=lambda: Text(visible(str(build), keep="\n")),
        html=lambda: closure_html(closure_data(build)),
    )


def present_closure(build: ClosureBuild) -> Presenting | None:
    """Show it and follow it until it is over; None where there is no notebook."""
    return Presenting(lambda live: closure_forms(build)) if in_kernel() else None
