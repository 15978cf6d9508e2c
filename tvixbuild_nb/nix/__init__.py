"""nix: Nix's formats and what becomes of a derivation.

``base32``, ``hashes`` and ``storepath`` are the values everything else is made of. A ``derivation`` is read from and
written as an ``aterm``, from files by ``reading``; ``modulo`` computes where it and its outputs lie, ``placeholder``
what stands for paths not known yet; ``show`` is its JSON. ``nar`` is the room's own room for archives.

``building`` makes a BuildRequest of a derivation, ``opening`` of one in a file: ``environment`` is what its builder
finds, with the ``attributes`` that it heeds, ``structured`` ones and the ``graphs`` of references among them;
``refusals`` says what is not built here, ``differences`` what is not as in Nix. ``sources`` are where inputs come from;
``closure`` plans which of them have to be built first, ``closurebuild`` builds them, each by ``realise``, and
``closurelines`` shows it; ``fetchurl`` is Nix's own download, ``fixedoutput`` the check of its hash. ``publishing``
writes binary caches and exports that Nix takes; ``produced`` is what it would know of a run's outputs,
``settings`` whom it trusts.
"""

from tvixbuild_nb.nix.aterm import parse_aterm, write_aterm
from tvixbuild_nb.nix.building import BuilderOptions, plan_request, request_for
from tvixbuild_nb.nix.derivation import Deferred, Derivation, Fixed, Floating, Impure, InputAddressed, Output
from tvixbuild_nb.nix.differences import DIFFERENCES, Difference
from tvixbuild_nb.nix.hashes import HashAlgorithm, HashEncoding, NixHash, compress_hash
from tvixbuild_nb.nix.modulo import (
    HashesModulo,
    HashModulo,
    ReadDerivation,
    WrongPath,
    derivation_path,
    output_paths,
    wrong_paths,
)
from tvixbuild_nb.nix.placeholder import placeholder, upstream_placeholder
from tvixbuild_nb.nix.reading import derivations_in, read_derivation
from tvixbuild_nb.nix.show import ShownDerivations, show_derivations
from tvixbuild_nb.nix.storepath import NIX_STORE, ContentMethod, StoreDir, StorePath

__all__ = [
    "DIFFERENCES",
    "NIX_STORE",
    "BuilderOptions",
    "ContentMethod",
    "Deferred",
    "Derivation",
    "Difference",
    "Fixed",
    "Floating",
    "HashAlgorithm",
    "HashEncoding",
    "HashModulo",
    "HashesModulo",
    "Impure",
    "InputAddressed",
    "NixHash",
    "Output",
    "ReadDerivation",
    "ShownDerivations",
    "StoreDir",
    "StorePath",
    "WrongPath",
    "compress_hash",
    "derivation_path",
    "derivations_in",
    "output_paths",
    "parse_aterm",
    "placeholder",
    "plan_request",
    "read_derivation",
    "request_for",
    "show_derivations",
    "upstream_placeholder",
    "write_aterm",
    "wrong_paths",
]
