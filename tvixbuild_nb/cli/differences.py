"""The command diff: two runs, requests, derivations or trees compared."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from tvixbuild_nb.castore import Castore, Tree, open_castore
from tvixbuild_nb.cli.places import find, read_request
from tvixbuild_nb.cli.screen import safe, write_json, write_lines
from tvixbuild_nb.errors import InvalidValue, NotFound, RunNotFound
from tvixbuild_nb.nix import Derivation, read_derivation
from tvixbuild_nb.nix.modulo import ReadDerivation
from tvixbuild_nb.nix.reading import derivations_in
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.sandbox import Run

DIFFERENT = 1


@dataclass(frozen=True, slots=True)
class _Answer:
    different: bool
    lines: Iterable[str]
    data: Any


def diff(args: Namespace) -> int:
    """Print what changed from one thing to another of its kind; the status is 1 when they differ."""
    with open_castore(args.store) as castore:
        sides = [_meant(word, castore) for word in (args.old, args.new)]
        answer = _compared(args, *sides)
        if args.json:
            write_json(answer.data)
        else:
            write_lines(Text(safe(line)) for line in answer.lines)
    return DIFFERENT if answer.different else 0


def _meant(word: str, castore: Castore) -> Run | BuildRequest | Derivation | Tree:
    """What a word of the command line names: a .drv file, the file of a request, a run, or a tree of the store."""
    if word.endswith(".drv"):
        return read_derivation(word)
    if word == "-" or os.path.isfile(word):
        return read_request(word)
    try:
        return Run.open(word)
    except RunNotFound as no_run:
        try:
            return find(castore, word)
        except (NotFound, InvalidValue) as no_tree:
            hint = f"no file; no run: {no_run.message}; no tree: {no_tree.message}"
            raise InvalidValue("neither file, run nor tree of the store is called so", path=word, hint=hint) from None


def _compared(args: Namespace, old: object, new: object) -> _Answer:
    match old, new:
        case Run(), Run():
            of_runs = old.diff(new)
            return _Answer(bool(of_runs), str(of_runs).split("\n"), of_runs.to_dict())
        case BuildRequest(), BuildRequest():
            of_requests = old.diff(new)
            return _Answer(bool(of_requests), str(of_requests).split("\n"), of_requests.to_dicts())
        case Derivation(), Derivation():
            of_derivations = old.diff(new, *(_beside(word) for word in (args.old, args.new)))
            return _Answer(bool(of_derivations), str(of_derivations).split("\n"), of_derivations.to_dicts())
        case Tree(), Tree():
            of_trees = old.diff(new)
            lines = of_trees.report() if not of_trees.same else ["no difference"]
            return _Answer(not of_trees.same, lines, [change.to_dict() for change in of_trees.smallest()])
    kinds = [type(side).__name__ for side in (old, new)]
    raise InvalidValue(f"a {kinds[0]} is not compared with a {kinds[1]}", path=args.new)


def _beside(derivation: str) -> ReadDerivation | None:
    return derivations_in(Path(derivation).parent)
