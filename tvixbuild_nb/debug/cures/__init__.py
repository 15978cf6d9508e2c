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
    """The cures of a run of ``request``; ``derivation``: the base name of the .drv it builds, where that is known.

    A request that was made of a derivation and then written down is a derivation's all the same.
    """
    derivation = derivation or _derivation_of(request)
    return SandboxCures(request) if derivation is None else DerivationCures(request, derivation)


def _derivation_of(request: BuildRequest) -> str | None:
    """What the .drv is called that a request has its variables and its inputs' place from; None when from none."""
    variables = request.environment_vars
    if "NIX_BUILD_TOP" not in variables or variables.get("NIX_STORE") != f"/{request.inputs_dir}".encode():
        return None
    # Structured attributes have their name in a file.
    return f"{variables.get('name', b'PATH').decode('utf-8', 'replace')}.drv"
