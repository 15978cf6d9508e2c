"""The commands about recorded runs."""

from __future__ import annotations

from tvixbuild_nb.cli.parsers.commands import RUN, Commands


def add_runs(commands: Commands) -> None:
    commands.add("runs", "runs:runs", "list the recorded runs, the newest first", "json")
    rm = commands.add(
        "rm", "removal:rm", "delete runs: record, log and kept bundle", "json",
        more="A run that goes on is not deleted. What its outputs take in the store goes with the next gc.",
    )  # fmt: skip
    rm.add_argument("runs", metavar="RUN", nargs="+", help="id of a run, or its beginning")
    log = commands.add("log", "runs:log", "print the log of a run", more="As it was written; made safe on a terminal.")
    log.add_argument("run", metavar="RUN", help=RUN)
    log.add_argument("--follow", "-f", action="store_true", help="go on until the run is over")
    log.add_argument("--stream", choices=("stdout", "stderr", "terminal"), help="only this one")
