"""The commands about Nix derivations: drv show and drv request."""

from __future__ import annotations

import os
from argparse import Namespace
from contextlib import suppress
from pathlib import Path

from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.cli.screen import warn, write_bytes
from tvixbuild_nb.errors import InvalidStorePath
from tvixbuild_nb.nix import (
    NIX_STORE,
    BuilderOptions,
    Derivation,
    StoreDir,
    StorePath,
    derivation_path,
    derivations_in,
    read_derivation,
    request_for,
    show_derivations,
)
from tvixbuild_nb.nix.building import derivations_from
from tvixbuild_nb.nix.sources import KnownPaths, Remembering, open_path_source


def show(args: Namespace) -> int:
    """Print the JSON of one derivation, under the store path that its contents give."""
    derivation = read_derivation(args.derivation, store_dir=_store_dir())
    path = derivation_path(derivation)
    with suppress(InvalidStorePath):  # a copy may have a name of its own
        named = StorePath.parse(os.path.basename(args.derivation))
        if named != path:
            warn(f"the file is called {named}, but its contents belong to {path}")
    shown = show_derivations({path: derivation})
    for warning in shown.warnings:
        warn(warning)
    write_bytes(shown.text.encode())
    return 0


def request(args: Namespace) -> int:
    """Print the protobuf-JSON of the request that builds one derivation; its inputs are in the store then."""
    store_dir = _store_dir()
    derivation = read_derivation(args.derivation, store_dir=store_dir)
    options = BuilderOptions(cores=args.cores, impure=dict(args.impure))
    beside = Path(args.derivation).parent
    with (
        open_castore(args.store) as castore,
        open_path_source(args.source, keys=args.keys, store=store_dir) as place,
        KnownPaths.beside(castore) as known,
    ):
        source = Remembering(place, known)
        from_source, from_here = derivations_from(source, castore), derivations_in(beside, store_dir)

        def read(path: StorePath) -> Derivation:
            return from_here(path) if (beside / path.basename).exists() else from_source(path)

        made = request_for(derivation, source, castore, options, read=read)
    write_bytes(f"{made.to_json()}\n".encode())
    return 0


def _store_dir() -> StoreDir:
    return StoreDir(os.environ.get("NIX_STORE_DIR", NIX_STORE.path))
