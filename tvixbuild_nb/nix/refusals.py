"""What derivations can ask for and is not built here: refused by name, with the way out, never ignored."""

from __future__ import annotations

from collections.abc import Collection

from tvixbuild_nb.errors import UnsupportedDerivation
from tvixbuild_nb.nix.attributes import Attributes
from tvixbuild_nb.nix.derivation import Derivation, Fixed

# Said of a builder by Nix's own defaults; none of them changes what a sandbox looks like.
FEATURES = frozenset({"benchmark", "big-parallel", "nixos-test"})
_BUILTIN = b"builtin:"
# The one that is done, outside of any sandbox, where its output's hash is known.
_FETCHURL = b"builtin:fetchurl"
_FEATURE_HINTS = {
    "kvm": "the sandbox has no /dev/kvm; build it with Nix",
    "recursive-nix": "a build cannot ask a Nix daemon here; build it with Nix",
    "uid-range": "a build has two user ids here, not 65536; build it with Nix",
    "ca-derivations": "outputs whose path follows from their contents are not built here; build it with Nix",
}
_KINDS = {
    "floating": "the path of its output follows from the contents (a floating content-addressed derivation)",
    "deferred": "its output paths are not known, because an input's path follows from that input's contents",
    "impure": "it is impure: it may give something else each time, with network",
}


def check_supported(derivation: Derivation, features: Collection[str] = FEATURES) -> None:
    """:class:`UnsupportedDerivation` when ``derivation`` asks for what is not done here; ``path`` names the attribute.

    Parameters: ``features``, the system features that this builder has.
    """
    _check_kind(derivation)
    fetches = derivation.builder == _FETCHURL and derivation.kind == "fixed"
    if derivation.builder.startswith(_BUILTIN) and not fetches:
        builder = derivation.builder.decode("utf-8", "replace")
        raise UnsupportedDerivation(
            f"{builder} is a part of Nix, not a program, and is not done here",
            path="builder",
            hint="let Nix build this one (nix-store -r PATH.drv); what needs it then finds its output in the store",
        )
    attributes = Attributes.of(derivation)
    for feature in attributes.strings("requiredSystemFeatures"):
        if feature not in features:
            known = ", ".join(sorted(features))
            raise UnsupportedDerivation(
                f"it needs a builder with the feature {feature!r}",
                path="requiredSystemFeatures",
                hint=_FEATURE_HINTS.get(feature, f"features here: {known or 'none'}"),
            )
    if attributes.boolean("__noChroot"):
        raise UnsupportedDerivation(
            "it asks to be built without a sandbox", path="__noChroot", hint="build it with Nix and sandbox = relaxed"
        )
    for host_path in attributes.strings("__impureHostDeps"):
        raise UnsupportedDerivation(
            f"it asks for a path of the host: {host_path}",
            path="__impureHostDeps",
            hint="add it to available_ro_paths of the request by hand",
        )


def _check_kind(derivation: Derivation) -> None:
    why = _KINDS.get(derivation.kind)
    if why is not None:
        raise UnsupportedDerivation(f"not built here: {why}", path="outputs", hint="build it with Nix")
    for name, output in derivation.outputs.items():
        dynamic = isinstance(output, Fixed) and output.method == "text"
        if dynamic or derivation.output_name(name).endswith(".drv"):
            raise UnsupportedDerivation(
                f"not built here: its output {name} is itself a derivation or a text (dynamic derivations)",
                path="outputs",
                hint="build it with Nix",
            )
