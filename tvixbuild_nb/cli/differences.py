"""The command diff: two runs, requests, derivations or trees compared."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.text import Text

from tvixbuild_nb.build.records import SUFFIX
from tvixbuild_nb.castore import Castore, Tree, open_castore
from tvixbuild_nb.cli.places import find, read_request
from tvixbuild_nb.cli.screen import safe, write_json, write_lines
from tvixbuild_nb.errors import InvalidValue, NotFound, RunNotFound
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.sandbox import Run

if TYPE_CHECKING:
    from tvixbuild_nb.nix import Derivation

DIFFERENT = 1


@dataclass(frozen=True, slots=True)
class _Answer:
    different: bool
    lines: Iterable[str]
    data: Callable[[], Any]


def diff(args: Namespace) -> int:
    """Print what changed from one thing to another of its kind; the status is 1 when they differ."""
    with open_castore(args.store) as castore:
        sides = [_meant(word, castore) for word in (args.old, args.new)]
        answer = _compared(args, *sides)
        if args.json:
            write_json(answer.data())
        else:
            write_lines(Text(safe(line)) for line in answer.lines)
    return DIFFERENT if answer.different else 0


def _meant(word: str, castore: Castore) -> Run | BuildRequest | Derivation | Tree:
    """What a word of the command line names: a .drv file, a request's file, a run, a record, a tree of the store."""
    if _is_derivation(word):
        from tvixbuild_nb.nix import read_derivation  # all of nix/ takes longer to load than most trees to compare

        return read_derivation(word)
    if word == "-" or (os.path.isfile(word) and not word.endswith(SUFFIX)):
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
            return _Answer(bool(of_runs), _lines(of_runs), of_runs.to_dict)
        case BuildRequest(), BuildRequest():
            of_requests = old.diff(new)
            return _Answer(bool(of_requests), _lines(of_requests), of_requests.to_dicts)
        case Tree(), Tree():
            of_trees = old.diff(new)
            lines = of_trees.report() if not of_trees.same else ["no difference"]
            return _Answer(not of_trees.same, lines, lambda: [change.to_dict() for change in of_trees.smallest()])
    if _is_derivation(args.old) and _is_derivation(args.new):
        return _of_derivations(args, cast("Derivation", old), cast("Derivation", new))
    kinds = [type(side).__name__ for side in (old, new)]
    raise InvalidValue(f"a {kinds[0]} is not compared with a {kinds[1]}", path=args.new)


def _is_derivation(word: str) -> bool:
    return word.endswith(".drv")


def _of_derivations(args: Namespace, old: Derivation, new: Derivation) -> _Answer:
    from tvixbuild_nb.nix.reading import derivations_in

    found = old.diff(new, *(derivations_in(Path(word).parent) for word in (args.old, args.new)))
    return _Answer(bool(found), _lines(found), found.to_dicts)


def _lines(answer: object) -> list[str]:
    return str(answer).split("\n")
