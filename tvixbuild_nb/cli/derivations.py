"""The commands about Nix derivations: drv show, request and run."""

from __future__ import annotations

import os
from argparse import Namespace
from contextlib import suppress
from functools import partial
from typing import Any

from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.cli.building import build, run_summary
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
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.sandbox import Run


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
    with open_castore(args.store) as castore:
        made = _request(args, castore)
    write_bytes(f"{made.to_json()}\n".encode())
    return 0


def run(args: Namespace) -> int:
    """Run the builder of one derivation, as ``tvixbuild-nb run`` runs a request."""
    return build(args, partial(_request, args), _summary)


def _request(args: Namespace, castore: Castore) -> BuildRequest:
    options = BuilderOptions(cores=args.cores, impure=dict(args.impure))
    return open_request(args.derivation, castore, args.source, keys=args.keys, options=options, store_dir=_store_dir())


def _summary(run: Run) -> dict[str, Any]:
    """As of any run, and of each output what Nix would register."""
    store, summary = _store_dir(), run_summary(run)
    hashes, sizes, references = run.nar_hash, run.nar_size, run.references
    for output in summary["outputs"]:
        path = output["path"]
        output["nar_hash"] = str(hashes[path])
        output["nar_size"] = sizes[path]
        output["references"] = [store.join(each) for each in references[path]]
    return summary


def _store_dir() -> StoreDir:
    return StoreDir(os.environ.get("NIX_STORE_DIR", NIX_STORE.path))
