"""The commands that ask about a run: explain, accesses, why, script, processes."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from dataclasses import asdict

from rich.text import Text

from tvixbuild_nb.castore import SymlinkNode
from tvixbuild_nb.cli.screen import console, safe, write_json, write_lines
from tvixbuild_nb.debug.pasted import explain_pasted
from tvixbuild_nb.errors import InvalidValue
from tvixbuild_nb.sandbox import Run

_CHUNK = 1 << 16


def explain(args: Namespace) -> int:
    """Tell why a run failed, or what is known of the log on standard input."""
    if args.run == "-":
        answer = explain_pasted(iter(lambda: sys.stdin.buffer.read(_CHUNK), b""))
    else:
        answer = Run.open(args.run).explain()
    if args.json:
        write_json(answer.to_dict())
    else:
        write_lines(Text(safe(line)) for line in str(answer).split("\n"))
    return 0


def accesses(args: Namespace) -> int:
    """Tell what a run touched of its inputs; :class:`InvalidValue` when that was not recorded."""
    run = Run.open(args.run)
    trace = run.accesses
    if trace is None and all(isinstance(node, SymlinkNode) for node in run.request.inputs.values()):
        raise InvalidValue("it has no inputs that could be touched", path="run")
    if trace is None:
        raise InvalidValue("what it touched was not recorded", path="run", hint="it takes FUSE, and no --no-trace")
    if args.json:
        write_json(json.loads(trace.to_json()))
    else:
        console().print(trace.tree() if args.tree else trace)
    return 0


def why(args: Namespace) -> int:
    """Tell where in a run's outputs a needle, or that of an input, stands."""
    answer = Run.open(args.run).why(args.needle)
    if args.json:
        write_json(asdict(answer))
    else:
        write_lines(map(Text, str(answer).split("\n")))
    return 0


def script(args: Namespace) -> int:
    """Write what reproduces a run with plain runc."""
    Run.open(args.run).script(args.output)
    return 0


def processes(args: Namespace) -> int:
    """Tell who waits for what in a run's sandbox, now or when time was up; :class:`InvalidValue` when nobody knows."""
    tree = Run.open(args.run).processes()
    if tree is None:
        raise InvalidValue(
            "the run is over, and was not ended for want of time",
            path="run",
            hint="they are known of a run that goes on",
        )
    if args.json:
        write_json(tree.to_dict())
    else:
        write_lines(Text(safe(line)) for line in str(tree).split("\n"))
    return 0
