"""The command line of tvixbuild-nb: every command, what it takes, and which function it calls."""

from __future__ import annotations

import argparse

from tvixbuild_nb import __version__
from tvixbuild_nb.cli.parsers.commands import Commands
from tvixbuild_nb.cli.parsers.derivations import add_derivations
from tvixbuild_nb.cli.parsers.host import add_host
from tvixbuild_nb.cli.parsers.nars import add_nars
from tvixbuild_nb.cli.parsers.notebooks import add_notebooks
from tvixbuild_nb.cli.parsers.questions import add_questions
from tvixbuild_nb.cli.parsers.records import add_records
from tvixbuild_nb.cli.parsers.requests import add_requests
from tvixbuild_nb.cli.parsers.runs import add_runs
from tvixbuild_nb.cli.parsers.serving import add_serving
from tvixbuild_nb.cli.parsers.trees import add_trees

_EPILOG = """\
exit status: 0 done, 1 failed, 2 the request or the command line was refused, 130 interrupted

environment: TVIXBUILD_NB_STORE (path or address of the store), TVIXBUILD_NB_BUILDER (address of the build service),
             TVIXBUILD_NB_STATE (directory with the recorded runs), NO_COLOR
"""


def make_parser() -> argparse.ArgumentParser:
    """The parser; ``args.command`` is ``module:function`` below tvixbuild_nb.cli."""
    parser = argparse.ArgumentParser(
        prog="tvixbuild-nb",
        description="Preview, run and browse sandboxed builds, as Tvix's OCI build service does them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tvixbuild-nb {__version__}")
    commands = Commands(parser)
    add_host(commands)
    add_requests(commands)
    add_runs(commands)
    add_questions(commands)
    add_records(commands)
    add_trees(commands)
    add_derivations(commands)
    add_nars(commands)
    add_notebooks(commands)
    add_serving(commands)
    return parser
