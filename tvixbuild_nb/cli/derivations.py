"""The commands about Nix derivations: drv show and drv request."""

from __future__ import annotations

import os
from argparse import Namespace
from contextlib import suppress

from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.cli.screen import warn, write_bytes
from tvixbuild_nb.errors import InvalidStorePath
from tvixbuild_nb.nix import (
    NIX_STORE,
    BuilderOptions,
    StoreDir,
    StorePath,
    derivation_path,
    read_derivation,
    show_derivations,
)
from tvixbuild_nb.nix.opening import open_request


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
    options = BuilderOptions(cores=args.cores, impure=dict(args.impure))
    with open_castore(args.store) as castore:
        made = open_request(
            args.derivation, castore, args.source, keys=args.keys, options=options, store_dir=_store_dir()
        )
    write_bytes(f"{made.to_json()}\n".encode())
    return 0


def _store_dir() -> StoreDir:
    return StoreDir(os.environ.get("NIX_STORE_DIR", NIX_STORE.path))
