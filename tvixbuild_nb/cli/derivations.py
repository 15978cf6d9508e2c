"""The commands about Nix derivations: drv show, request, run and closure."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, suppress
from functools import partial
from typing import Any

from rich.text import Text

from tvixbuild_nb.build import BuildService
from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.cli.building import build, policy_of, run_summary
from tvixbuild_nb.cli.screen import safe, warn, write_bytes, write_json, write_lines
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
from tvixbuild_nb.nix.closure import ClosurePlan
from tvixbuild_nb.nix.closurebuild import ClosureBuild
from tvixbuild_nb.nix.opening import Opened, opened_derivation
from tvixbuild_nb.nix.pathinfo import PathInfo
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.sandbox import Run
from tvixbuild_nb.sandbox.services import shared_builder


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
    with open_castore(args.store) as castore, _opened(args, castore) as opened:
        made = opened.prepare().request
    write_bytes(f"{made.to_json()}\n".encode())
    return 0


def run(args: Namespace) -> int:
    """Build what inputs of one derivation are missing, then run its builder as ``tvixbuild-nb run`` runs a request."""
    making = _Making(args)
    return build(args, making.request, _summary, making.service)


def closure(args: Namespace) -> int:
    """Build what is missing of one derivation, itself included, and print the graph."""
    with open_castore(args.store) as castore, _opened(args, castore) as opened:
        plan = opened.plan(itself=True)
        if args.dry_run:
            if args.json:
                write_json(plan_summary(plan))
            else:
                write_lines(map(Text, plan.describe().split("\n")))
            return 0
        with closing(shared_builder(args.builder, castore, args.runtime, args.builder_store)) as service:
            going = opened.closure_build(plan, service, jobs=args.jobs, policy=policy_of(args))
            try:
                going.run()
            finally:
                if args.json:
                    write_json(closure_summary(going, opened))
                else:
                    write_lines(Text(safe(line)) for line in str(going).split("\n"))
    return 0


class _Making:
    """A derivation becomes a request and then what builds it, its inputs looked at once."""

    def __init__(self, args: Namespace) -> None:
        self._args = args
        self._special: BuildService | None = None
        self._checked: Callable[[BuildService], BuildService]

    def request(self, castore: Castore) -> BuildRequest:
        """What is missing is built first; afterwards :meth:`service` knows how its outputs are checked."""
        args = self._args
        with _opened(args, castore) as opened:
            plan = opened.plan()
            if plan.steps:
                with closing(shared_builder(args.builder, castore, args.runtime, args.builder_store)) as service:
                    opened.closure_build(plan, service, jobs=args.jobs, policy=policy_of(args)).run()
            prepared = opened.prepare()
            self._special = opened.service(shared_builder(args.builder, castore, args.runtime, args.builder_store))
            self._checked = partial(opened.checked, prepared=prepared)
        return prepared.request

    def service(self, castore: Castore) -> BuildService:
        """What builds that request."""
        return self._special or self._checked(
            shared_builder(self._args.builder, castore, self._args.runtime, self._args.builder_store)
        )


def _opened(args: Namespace, castore: Castore) -> AbstractContextManager[Opened]:
    options = BuilderOptions(cores=args.cores, impure=dict(args.impure))
    return opened_derivation(
        args.derivation, castore, args.source, keys=args.keys, options=options, store_dir=_store_dir()
    )


def plan_summary(plan: ClosurePlan) -> dict[str, Any]:
    """A plan as plain data: what is to be built, in an order in which it can be."""
    steps = [{"derivation": str(step.path), "needs": list(map(str, step.needs))} for step in plan.steps.values()]
    return {"target": str(plan.target), "there": list(map(str, plan.there)), "steps": steps}


def closure_summary(going: ClosureBuild, opened: Opened) -> dict[str, Any]:
    """The same with how each step ended and, of those that are done, what Nix would register."""
    summary = plan_summary(going.plan)
    for told, node in zip(summary["steps"], going.nodes, strict=True):
        told |= {
            "state": node.state,
            "seconds": node.seconds,
            "waited": node.waited,
            "run": node.run,
            "message": node.message,
        }
        outputs = going.plan.steps[node.path].derivation.outputs.values()
        infos = [opened.built.info(output.path) for output in outputs if output.path is not None]
        told["outputs"] = [_registered(info) for info in infos if info is not None]
    summary["longest_way"] = [str(node.path) for node in going.longest_way()]
    return summary


def _registered(info: PathInfo) -> dict[str, Any]:
    store = _store_dir()
    return {
        "path": store.join(info.path),
        "nar_hash": str(info.nar_hash),
        "nar_size": info.nar_size,
        "references": list(map(store.join, info.references)),
    }


def _summary(run: Run) -> dict[str, Any]:
    """As of any run, and of each output what Nix would register."""
    store, summary = _store_dir(), run_summary(run)
    hashes, sizes, references = run.nar_hash, run.nar_size, run.references
    for output in (*summary["outputs"], *summary["rejected"]):
        path = output["path"]
        output["nar_hash"] = str(hashes[path])
        output["nar_size"] = sizes[path]
        output["references"] = [store.join(each) for each in references[path]]
    return summary


def _store_dir() -> StoreDir:
    return StoreDir(os.environ.get("NIX_STORE_DIR", NIX_STORE.path))
