"""The commands that ask about a run."""

from __future__ import annotations

from argparse import ArgumentParser

from tvixbuild_nb.cli.parsers.commands import RUN, Commands, seconds


def add_questions(commands: Commands) -> None:
    _add_explain(commands)
    _add_accesses(commands)
    _add_why(commands)
    _add_diff(commands)
    _add_script(commands)
    _add_processes(commands)
    _add_exec(commands)
    _add_shell(commands)


def _add_explain(commands: Commands) -> None:
    explain = commands.add(
        "explain", "questions:explain", "tell why a run failed, or what is known of a log that somebody pasted", "json",
        more="Of a run the sandbox as it was mounted is looked into, of a log on standard input its texts, Nix's own "
        "messages too. Each cause comes with its evidence, what to do, and how sure it is.",
    )  # fmt: skip
    explain.add_argument("run", metavar="RUN", help=f"{RUN}; - reads a log from standard input")


def _add_accesses(commands: Commands) -> None:
    accesses = commands.add(
        "accesses", "questions:accesses", "tell what a run used of its inputs and what it looked for in vain", "json",
        more="Each search with the places in the order in which they were tried.",
    )  # fmt: skip
    accesses.add_argument("--tree", action="store_true", help="what was touched as a tree, coloured by its use")
    accesses.add_argument("run", metavar="RUN", help=RUN)


def _add_why(commands: Commands) -> None:
    why = commands.add(
        "why", "questions:why", "tell where in a run's outputs a reference stands", "json",
        more="File, byte offset and what is around it; targets of symlinks and names too. Secrets are left out.",
    )  # fmt: skip
    why.add_argument("run", metavar="RUN", help=RUN)
    why.add_argument("needle", metavar="NEEDLE", help="a text, or an input's name or path: its needle is looked for")


def _add_diff(commands: Commands) -> None:
    diff = commands.add(
        "diff", "differences:diff", "tell what changed from OLD to NEW", "json", "store",
        more="Each is the id of a run, the file of a request or of a derivation (.drv), or DIGEST[/path]; both of one "
        "kind. The smallest changes come first. Exit status: 0 they are the same, 1 they differ.",
    )  # fmt: skip
    diff.add_argument("old", metavar="OLD", help=f"{RUN}, or a file, or a tree of the store")
    diff.add_argument("new", metavar="NEW", help="another of the same kind")


def _add_script(commands: Commands) -> None:
    script = commands.add(
        "script", "questions:script", "write a shell script that reproduces a run with plain runc",
        more="The bundle with all inputs is in it; values of secrets are not, it asks for them.",
    )  # fmt: skip
    script.add_argument("run", metavar="RUN", help=RUN)
    script.add_argument("-o", dest="output", metavar="FILE", required=True, help="where to; must not exist")


def _add_processes(commands: Commands) -> None:
    processes = commands.add(
        "processes", "questions:processes", "tell who waits for what in the sandbox of a run", "json",
        more="Of a run that goes on, in whatever process; of one that was ended by its time limit, or for its silence, "
        "as it was then.",
    )  # fmt: skip
    processes.add_argument("run", metavar="RUN", help=RUN)


_ENTERED = (
    "While the run goes on, into it; when it is over, into the same sandbox again: same mounts, ids and variables, the "
    "scratch directories as the run, or who entered last, left them."
)


def _add_exec(commands: Commands) -> None:
    execute = commands.add(
        "exec", "entering:execute", "execute a command in the sandbox of a run",
        more=f"{_ENTERED} Exit status: the command's, 1 when a signal ended it or it could not begin.",
    )  # fmt: skip
    execute.add_argument("--timeout", type=seconds, metavar="SECONDS", help="end the command after that time")
    _add_entering(execute)
    execute.add_argument("words", metavar="COMMAND", nargs="+", help="program and arguments; -- before its own options")


def _add_shell(commands: Commands) -> None:
    shell = commands.add(
        "shell", "entering:shell", "open a shell in the sandbox of a run",
        more=f"{_ENTERED} On a terminal it is interactive, else it reads its commands from standard input. "
        "What differs from the run's config.json is told first. Exit status: the shell's.",
    )  # fmt: skip
    shell.add_argument(
        "--phase", metavar="NAME", help="of stdenv, such as buildPhase: run all phases before it, from the start"
    )
    _add_entering(shell)


def _add_entering(parser: ArgumentParser) -> None:
    parser.add_argument("--fresh", action="store_true", help="scratch directories as at the start of the run")
    parser.add_argument(
        "--tool", dest="tools", metavar="PROGRAM", action="append", default=[],
        help="a program of this host to be added, such as strace; may be given several times",
    )  # fmt: skip
    parser.add_argument("run", metavar="RUN", help=RUN)
