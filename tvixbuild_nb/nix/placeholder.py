"""Placeholders: what stands in a derivation for paths that are not known when it is written."""

from __future__ import annotations

from tvixbuild_nb.errors import InvalidDerivation
from tvixbuild_nb.nix.derivation import DERIVATION_SUFFIX
from tvixbuild_nb.nix.hashes import NixHash
from tvixbuild_nb.nix.storepath import StorePath, output_name


def placeholder(output: str) -> str:
    """What ``builtins.placeholder`` gives: ``/`` and 52 digits for the path of the derivation's own output."""
    return _placeholder(f"nix-output:{output}")


def upstream_placeholder(derivation: StorePath, output: str) -> str:
    """The same for the output of another derivation whose path is known only once it is built.

    :class:`InvalidDerivation` when ``derivation`` is not the path of one.
    """
    if not derivation.is_derivation:
        raise InvalidDerivation(f"not the path of a derivation: {derivation}", path="derivation")
    name = output_name(derivation.name.removesuffix(DERIVATION_SUFFIX), output)
    return _placeholder(f"nix-upstream-output:{derivation.hash_part}:{name}")


def _placeholder(text: str) -> str:
    return f"/{NixHash.of('sha256', text.encode()).nixbase32}"
