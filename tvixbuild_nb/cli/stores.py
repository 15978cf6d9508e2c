"""The commands about stores by address: castore sync."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import asdict

from rich.text import Text

from tvixbuild_nb import castore
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.cli.places import find
from tvixbuild_nb.cli.screen import amount, counted, directories, write_json, write_lines


def sync(args: Namespace) -> int:
    """Copy from one store to another, and say how much that was."""
    with open_castore(args.source, read_only=True) as source:
        roots = [find(source, place).node for place in args.roots] or None
        try:
            report = castore.sync(source, args.target, roots, dry_run=args.dry_run)
        except KeyboardInterrupt:
            sys.stderr.write("interrupted: what was copied stays there, and the same command goes on with the rest\n")
            raise
    if args.json:
        write_json({"dry_run": args.dry_run, **asdict(report)})
    else:
        did = "would copy" if args.dry_run else "copied"
        lines = [
            f"{did} {counted(report.blobs, 'blob')} ({amount(report.bytes)}) and {directories(report.directories)}",
            f"{counted(report.blobs_there, 'blob')} and {directories(report.directories_there)} were there already",
        ]
        write_lines(map(Text, lines))
    return 0
