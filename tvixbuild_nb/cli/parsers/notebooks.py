"""The commands about notebooks."""

from __future__ import annotations

from tvixbuild_nb.cli.parsers.commands import Commands, count, seconds


def add_notebooks(commands: Commands) -> None:
    group = commands.group("notebooks", "execute notebooks, and find those that are no longer true")
    run = group.add(
        "run", "notebooks:run", "execute notebooks and store what they show",
        more="What is another every time is not stored: ids, times, figures of usage, paths of this host, widgets. One "
        "that fails does not stop the others and is not written in place. Exit status: 1 when one failed.",
    )  # fmt: skip
    run.add_argument("--output-dir", metavar="DIR", help="write them there, instead of in place")
    run.add_argument(
        "--record", metavar="DIR", help="keep their runs there, to be replayed where builds cannot run (lab.setup())"
    )
    check = group.add(
        "check", "notebooks:check", "execute notebooks and compare what they show with what is stored",
        more="Nothing is written. Of cells tagged `volatile` only the kinds of outputs are compared. Exit status: 0 "
        "the same, 1 not, 2 when one could not be executed.",
    )  # fmt: skip
    for parser in (run, check):
        parser.add_argument(
            "paths", metavar="PATH", nargs="*", help="notebooks, and directories with such; notebooks/ unless given"
        )
        parser.add_argument("--jobs", "-j", type=count, metavar="N", help="how many at once")
        parser.add_argument(
            "--timeout",
            type=seconds,
            default=120.0,
            metavar="SECONDS",
            help="the longest a cell may take; 120 unless given",
        )
