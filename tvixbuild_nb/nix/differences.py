"""Where a build here is not what Nix 2.8 gives its builders on Linux: one table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference, by a short name; ``variables`` are the environment variables it shows in."""

    name: str
    nix: str
    ours: str
    reason: str
    variables: tuple[str, ...] = ()


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "cores",
        "NIX_BUILD_CORES is the setting cores, by default the number of this host's",
        "NIX_BUILD_CORES is 0, all there are, unless the caller says a number",
        "the same derivation gives the same request on every host, as in Snix",
        ("NIX_BUILD_CORES",),
    ),
    Difference(
        "own-variables",
        "a derivation cannot set NIX_BUILD_TOP, NIX_LOG_FD, PWD, TEMP, TEMPDIR, TERM, TMP, TMPDIR",
        "a derivation's own value counts for these, too",
        "as in Snix",
        ("NIX_BUILD_TOP", "NIX_LOG_FD", "PWD", "TEMP", "TEMPDIR", "TERM", "TMP", "TMPDIR"),
    ),
    Difference(
        "attribute-files",
        "NIX_ATTRS_JSON_FILE and NIX_ATTRS_SH_FILE name the files by their place on the host, which no builder sees",
        "they name /build/.attrs.json and /build/.attrs.sh",
        "later versions of Nix mended it so",
        ("NIX_ATTRS_JSON_FILE", "NIX_ATTRS_SH_FILE"),
    ),
    Difference(
        "program-name",
        "the builder's argument 0 is the last part of its path",
        "it is the whole path",
        "a request's command_args say in one word what runs and what it is called",
    ),
    Difference(
        "encodings",
        "arguments and variables are any bytes, and a variable's name may be empty or hold =",
        "refused: they are UTF-8, and names are not empty",
        "requests are protobuf messages, whose texts are UTF-8",
    ),
    Difference(
        "fixed-references",
        "a fixed output that refers to store paths is registered at another path than the derivation says",
        "refused",
        "later versions of Nix refuse it so",
    ),
    Difference(
        "builtins",
        "builtin:fetchurl, builtin:buildenv and builtin:unpack-channel are done by Nix itself",
        "builtin:fetchurl is done, without mirrors and netrc, and from this host's files, too; the others are refused",
        "they are no programs that a sandbox can run",
    ),
)
