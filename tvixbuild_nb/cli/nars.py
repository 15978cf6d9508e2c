"""The commands about NARs: nar hash, dump, restore, ls."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from rich.text import Text

from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.cli.places import find
from tvixbuild_nb.cli.screen import amount, safe, write_bytes, write_json, write_lines
from tvixbuild_nb.errors import InvalidNar, InvalidNode
from tvixbuild_nb.nix.nar import NarEntry, list_nar, nar_events, nar_of_node, nar_of_path, nar_sum
from tvixbuild_nb.nix.nar import restore as restore_events


def hash(args: Namespace) -> int:
    """Print the hash as ``nix hash path`` does."""
    total = nar_sum(_chunks(args))
    if args.json:
        write_json({"nar_hash": total.hash.sri, "nar_size": total.size})
    else:
        write_lines([Text(total.hash.sri)])
    return 0


def dump(args: Namespace) -> int:
    """Write a NAR to standard output."""
    if sys.stdout.isatty():
        raise InvalidNar("a NAR is nothing for a terminal", hint="redirect it: tvixbuild-nb nar dump PATH > FILE")
    for chunk in _chunks(args):
        write_bytes(chunk)
    return 0


def restore(args: Namespace) -> int:
    """Unpack a NAR; it appears complete or not at all."""
    with _opened(args.file) as file:
        restore_events(nar_events(file, path=args.file), args.dest)
    return 0


def ls(args: Namespace) -> int:
    """List a NAR, of one that is damaged what comes before the damage."""
    with _opened(args.file) as file:
        entries = list_nar(file, path=args.file)
        if args.json:
            write_json([_plain(entry) for entry in entries])
        else:
            write_lines(map(_line, entries))
    return 0


def _chunks(args: Namespace) -> Iterator[bytes | memoryview]:
    """The NAR of PATH: a path of the host if there is one, else of what a digest names."""
    if os.path.lexists(args.path) or args.path.startswith((".", "/")):
        yield from nar_of_path(args.path)
        return
    with open_castore(args.store) as castore:
        try:
            place = find(castore, args.path, follow=args.path.endswith("/"))
        except InvalidNode as error:
            raise InvalidNode(f"no such file, and {error.message}", path=args.path, hint=error.hint) from error
        yield from nar_of_node(castore, place.node)


@contextmanager
def _opened(place: str) -> Iterator[BinaryIO]:
    if place == "-":
        yield sys.stdin.buffer
        return
    with open(place, "rb", buffering=0) as file:
        yield file


def _plain(entry: NarEntry) -> dict[str, object]:
    return {
        "path": os.fsdecode(entry.path),
        "kind": entry.kind,
        "size": entry.size,
        "executable": entry.executable if entry.kind == "file" else None,
        "target": None if entry.target is None else os.fsdecode(entry.target),
        "offset": entry.offset,
    }


def _line(entry: NarEntry) -> Text:
    kinds = {"directory": ("d", "bold blue"), "symlink": ("l", "cyan"), "file": ("-", "")}
    kind, style = ("x", "bold green") if entry.executable else kinds[entry.kind]
    shown = Text(safe(os.fsdecode(entry.path)) or ".", style=style)
    if entry.target is not None:
        shown.append(f" -> {safe(os.fsdecode(entry.target))}", style="not bold default")
    size = "" if entry.size is None else amount(entry.size)
    return Text.assemble(f"{kind} {size:>14}  ", shown)
