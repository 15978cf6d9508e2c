"""The request of a derivation that somebody points at: a file or its bytes, its inputs in a place with an address."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from tvixbuild_nb.castore import Castore
from tvixbuild_nb.nix.aterm import parse_aterm
from tvixbuild_nb.nix.building import BuilderOptions, derivations_from, request_for
from tvixbuild_nb.nix.derivation import Derivation
from tvixbuild_nb.nix.modulo import ReadDerivation
from tvixbuild_nb.nix.reading import derivations_in, read_derivation
from tvixbuild_nb.nix.signing import PublicKey
from tvixbuild_nb.nix.sources import KnownPaths, PathSource, Remembering, open_path_source
from tvixbuild_nb.nix.storepath import NIX_STORE, StoreDir, StorePath
from tvixbuild_nb.request import BuildRequest


def open_request(
    derivation: str | os.PathLike[str] | bytes,
    castore: Castore,
    inputs: str | PathSource = "local",
    *,
    keys: Iterable[PublicKey | str] = (),
    options: BuilderOptions | None = None,
    store_dir: StoreDir = NIX_STORE,
) -> BuildRequest:
    """The request that builds a derivation; the whole closure of its inputs is in ``castore`` then.

    Parameters: ``derivation``, the path of a .drv file or what is in one; ``inputs``, where they come from, as
    :func:`open_path_source` names places, with ``keys`` that a binary cache may sign with. The derivations of its
    inputs are read from beside the file, or from there too. What came before is remembered beside ``castore``.
    Raises what reading it, opening the place and :func:`request_for` raise.
    """
    if isinstance(derivation, bytes):
        read, beside = parse_aterm(derivation, store_dir=store_dir), None
    else:
        read, beside = read_derivation(derivation, store_dir=store_dir), Path(derivation).parent
    with ExitStack() as stack:
        if isinstance(inputs, str):
            inputs = stack.enter_context(open_path_source(inputs, keys=keys, store=store_dir))
        source = Remembering(inputs, stack.enter_context(KnownPaths.beside(castore)))
        return request_for(read, source, castore, options, read=_reads(source, castore, beside))


def _reads(source: PathSource, castore: Castore, beside: Path | None) -> ReadDerivation:
    """A function that reads derivations from ``beside`` where they are, and from ``source`` otherwise."""
    from_source = derivations_from(source, castore)
    if beside is None:
        return from_source
    from_here = derivations_in(beside, source.store)

    def read(path: StorePath) -> Derivation:
        return from_here(path) if (beside / path.basename).exists() else from_source(path)

    return read
