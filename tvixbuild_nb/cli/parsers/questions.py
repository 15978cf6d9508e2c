"""The commands that ask about a run."""

from __future__ import annotations

from tvixbuild_nb.cli.parsers.commands import RUN, Commands


def add_questions(commands: Commands) -> None:
    _add_why(commands)


def _add_why(commands: Commands) -> None:
    why = commands.add(
        "why", "questions:why", "tell where in a run's outputs a reference stands", "json",
        more="File, byte offset and what is around it; targets of symlinks and names too. Secrets are left out.",
    )  # fmt: skip
    why.add_argument("run", metavar="RUN", help=RUN)
    why.add_argument("needle", metavar="NEEDLE", help="a text, or an input's name or path: its needle is looked for")
