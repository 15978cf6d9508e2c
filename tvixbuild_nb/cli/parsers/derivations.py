"""The commands about Nix derivations."""

from __future__ import annotations

import argparse

from tvixbuild_nb.cli.parsers.commands import Commands, cores, count, variable
from tvixbuild_nb.cli.parsers.requests import add_policy


def add_derivations(commands: Commands) -> None:
    drv = commands.group("drv", "look into Nix derivations, and run them")
    show = drv.add(
        "show", "derivations:show", "print a derivation as JSON, as nix derivation show of Nix 2.8 does",
        more="What is not UTF-8 stands there with replacement characters; standard error tells where. "
        "NIX_STORE_DIR is the store that its paths lie in, /nix/store unless set.",
    )  # fmt: skip
    show.add_argument("derivation", metavar="PATH.drv")
    request = drv.add(
        "request", "derivations:request", "print the request that builds a derivation, its inputs put into the store",
        "store",
        more="The derivations of its inputs are read from beside PATH.drv, or where the inputs come from. "
        "NIX_STORE_DIR is the store that its paths lie in, /nix/store unless set.",
    )  # fmt: skip
    _add_making(request)
    run = drv.add(
        "run", "derivations:run", "run the builder of a derivation as Nix would",
        "json", "store", "builder",
        more="With --json as run --json, each output also with nar_hash, nar_size and references. Missing inputs are "
        "built first, each a run of its own. Outputs are checked as Nix does (hashes of fixed ones, allowed "
        "references): refused ones are told as rejected.",
    )  # fmt: skip
    _add_making(run)
    _add_jobs(run)
    add_policy(run)
    closure = drv.add(
        "closure", "derivations:closure", "build a derivation and first what inputs are missing, and print the graph",
        "json", "store", "builder",
        more="Each derivation is a run of its own; what was built is remembered beside the store, drv run finds it. "
        "Exit status 1 when one failed: what needs it is skipped, and the message says the way to it.",
    )  # fmt: skip
    _add_making(closure)
    _add_jobs(closure)
    closure.add_argument("--dry-run", action="store_true", help="say what would be built, and build nothing")
    add_policy(closure)


def _add_jobs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", metavar="N", type=count, help="build so many inputs at once; as many as CPUs")


def _add_making(parser: argparse.ArgumentParser) -> None:
    """Which derivation, and how a request is made of it."""
    parser.add_argument("derivation", metavar="PATH.drv")
    parser.add_argument(
        "--from", dest="source", metavar="ADDR", default="local",
        help="where the inputs come from: local (the default), local?root=/DIR, file:///CACHE, http://...",
    )  # fmt: skip
    parser.add_argument(
        "--key", dest="keys", metavar="NAME:KEY", action="append",
        help="a public key that a binary cache may sign with, instead of those that nix.conf trusts",
    )  # fmt: skip
    parser.add_argument("--cores", metavar="N", type=cores, default=0, help="what NIX_BUILD_CORES says; 0, all")
    parser.add_argument(
        "--impure", metavar="NAME=VALUE", action="append", type=variable, default=[],
        help="the value of one of the impureEnvVars of a fixed output; the request shows it",
    )  # fmt: skip
