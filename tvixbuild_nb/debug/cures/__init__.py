"""What to do about a cause, said for who has the build: a Sandbox in Python, or a derivation of Nix.

:class:`Cures` is what both are asked; each answers with lines to paste, or with a comment where no code can say it.
"""

from __future__ import annotations

from tvixbuild_nb.debug.cures.derivation import DerivationCures
from tvixbuild_nb.debug.cures.protocol import Cures
from tvixbuild_nb.debug.cures.sandbox import SandboxCures, literal, scratch
from tvixbuild_nb.request import BuildRequest

__all__ = ["Cures", "DerivationCures", "SandboxCures", "cures_for", "literal", "scratch"]


def cures_for(request: BuildRequest, derivation: str | None) -> Cures:
    """The cures of a run of ``request``; ``derivation``: the base name of the .drv it builds, None for a sandbox's."""
    return SandboxCures(request) if derivation is None else DerivationCures(request, derivation)
