"""The command line as such: what there is, what is refused, and that it starts quickly."""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib import import_module

import pytest

from support.cli import Command
from tvixbuild_nb import __version__
from tvixbuild_nb.cli.parsers import make_parser

LINES = {
    "notebooks": ["check", "a.ipynb", "--jobs", "2", "--timeout", "60"],
    "castore": ["sync", "s", "objectstore+s3://b/p", "1", "2/x", "--json", "--dry-run"],
    "doctor": ["--json"],
    "demo": [],
    "config": ["r.json", "--tvix", "--rootless", "--sandbox-shell", "/sh"],
    "mounts": ["r.json", "--json"],
    "run": [
        *(
            "r.json",
            "--json",
            "--timeout",
            "1.5",
            "--silent-timeout",
            "1",
            "--keep",
            "always",
            "--inputs",
            "fuse",
            "--strict",
            "--observe",
        ),
        *("--no-trace", "--runtime", "crun", "--store", "memory:", "--builder", "dummy:", "--builder-store", "s"),
    ],
    "run-many": ["a.json", "b.json", "--json", "--jobs", "3", "--timeout", "9", "--builder", "dask+tcp://h:8786"],
    "check": ["r.json", "--json", "-n", "2", "--vary", "order,cores", "--timeout", "9", "--runtime", "crun"],
    "minimize": ["r.json", "--json", "-o", "small.json", "--store", "s", "--builder", "oci:"],
    "runs": ["--json"],
    "rm": ["1", "2", "--json"],
    "log": ["1", "--follow", "--stream", "stderr"],
    "explain": ["-", "--json"],
    "exec": ["--fresh", "--timeout", "2", "--tool", "strace", "1", "--", "ls", "-l"],
    "shell": ["--phase", "buildPhase", "--tool", "strace", "--tool", "gdb", "1"],
    "processes": ["1", "--json"],
    "script": ["1", "-o", "reproduce.sh"],
    "accesses": ["1", "--json"],
    "why": ["1", "needle", "--json"],
    "diff": ["1", "2", "--json", "--store", "s"],
    "record": ["export", "1", "x.tvixrun", "--outputs", "--inputs", "--yes", "--json"],
    "ingest": ["a", "b", "--json", "--store", "s"],
    "ls": ["00/x", "--json"],
    "tree": ["00"],
    "cat": ["00/x"],
    "export": ["00", "dest"],
    "mount": ["00", "dir"],
    "gc": ["--dry-run", "--json"],
    "drv": ["show", "x.drv"],
    "nar": ["restore", "x.nar", "dest"],
    "serve": ["--listen", "unix:/s", "--max-builds", "3", "--store", "memory:", "--allow-ro-path", "/opt"],
}


@pytest.mark.parametrize("name", LINES)
def test_every_command_leads_to_a_function(name: str) -> None:
    args = make_parser().parse_args([name, *LINES[name]])
    module, _, function = args.command.partition(":")
    assert callable(getattr(import_module(f"tvixbuild_nb.cli.{module}"), function))


def test_there_is_no_other_command() -> None:
    (commands,) = (
        action.choices for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction)
    )
    assert set(commands) == set(LINES)


@pytest.mark.parametrize(
    "line",
    [
        [],
        ["no-such-command"],
        ["config", "r.json", "--root", "--rootless"],
        ["run"],
        ["run", "r.json", "--timeout", "0"],
        ["run", "r.json", "--timeout", "nan"],
        ["run", "r.json", "--timeout", "soon"],
        ["run", "r.json", "--keep", "sometimes"],
        ["log", "x", "--stream", "stdin"],
        ["ingest"],
        ["drv"],
        ["drv", "show"],
        ["drv", "request"],
        ["drv", "request", "x.drv", "--cores", "-1"],
        ["drv", "run", "x.drv", "--keep", "sometimes"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_refused(command: Command, line: list[str]) -> None:
    assert command(*line, status=2) == ""
    assert "usage: tvixbuild-nb" in command.err


def test_a_refused_number_is_told_without_names_of_ours(command: Command) -> None:
    command("run", "r.json", "--timeout", "abc", status=2)
    assert (
        "argument --timeout: 'abc' is not a number of seconds above 0" in command.err and "_seconds" not in command.err
    )


def test_gc_says_whose_runs_count(command: Command) -> None:
    words = " ".join(command("gc", "--help").split())
    assert "Only the runs of this user's state directory (TVIXBUILD_NB_STATE) and the store's pins count" in words


def test_version(command: Command) -> None:
    assert command("--version") == f"tvixbuild-nb {__version__}\n"


def test_the_version_costs_no_library() -> None:
    code = (
        "import sys\nfrom tvixbuild_nb.cli import main\n"
        "try:\n    main(['--version'])\nexcept SystemExit:\n    print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pydantic", "rich", "blake3", "google.protobuf", "sqlite3"} & set(done.stdout.split())
