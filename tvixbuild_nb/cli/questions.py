"""The commands that ask about a run: why."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from rich.text import Text

from tvixbuild_nb.cli.screen import write_json, write_lines
from tvixbuild_nb.sandbox import Run


def why(args: Namespace) -> int:
    """Tell where in a run's outputs a needle, or that of an input, stands."""
    answer = Run.open(args.run).why(args.needle)
    if args.json:
        write_json(asdict(answer))
    else:
        write_lines(map(Text, str(answer).split("\n")))
    return 0
