"""The commands about Nix derivations: drv show."""

from __future__ import annotations

import os
from argparse import Namespace
from contextlib import suppress

from tvixbuild_nb.cli.screen import warn, write_bytes
from tvixbuild_nb.errors import InvalidStorePath
from tvixbuild_nb.nix import NIX_STORE, StoreDir, StorePath, derivation_path, read_derivation, show_derivations


def show(args: Namespace) -> int:
    """Print the JSON of one derivation, under the store path that its contents give."""
    store_dir = StoreDir(os.environ.get("NIX_STORE_DIR", NIX_STORE.path))
    derivation = read_derivation(args.derivation, store_dir=store_dir)
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
