"""The commands about record files."""

from __future__ import annotations

from argparse import ArgumentTypeError

from tvixbuild_nb.cli.parsers.commands import RUN, Commands, seconds

_FILE = "record of a run (.tvixrun)"


def add_records(commands: Commands) -> None:
    records = commands.group("record", "runs kept as portable files: show, play, export")
    show = records.add(
        "show", "records:show", "show what a record holds, and how its run ended", "json",
        more="Opening a record executes nothing; one that is damaged, foreign or newer is refused with the reason. "
        "Other commands take a record in place of RUN, too: log, explain, accesses, why, processes, script, diff.",
    )  # fmt: skip
    show.add_argument("file", metavar="FILE", help=_FILE)
    play = records.add("play", "records:play", "print the log of a record, or of a run, at its own speed")
    play.add_argument("file", metavar="FILE", help=f"{_FILE}, or {RUN}")
    play.add_argument("--speed", type=_speed, default=1.0, metavar="N", help="so many times as fast (1)")
    play.add_argument("--max-pause", type=seconds, metavar="SECONDS", help="no pause is longer")
    export = records.add(
        "export", "records:export", "keep a run as a file that can be opened anywhere", "json",
        more="The size is shown before; on a terminal contents are asked about. Values of secrets are not in the file.",
    )  # fmt: skip
    export.add_argument("run", metavar="RUN", nargs="?", help=RUN)
    export.add_argument("file", metavar="FILE", nargs="?", help="to be written: something.tvixrun")
    export.add_argument(
        "--all", metavar="DIR", help="keep every run as DIR/<request>-<n>.tvixrun, with the contents of outputs"
    )
    export.add_argument("--outputs", action="store_true", help="with the contents of the outputs")
    export.add_argument("--inputs", action="store_true", help="with the contents of the inputs")
    export.add_argument("--yes", "-y", action="store_true", help="do not ask")


def _speed(text: str) -> float:
    try:
        return seconds(text)
    except ArgumentTypeError:
        raise ArgumentTypeError(f"{text!r} is not a number above 0") from None
