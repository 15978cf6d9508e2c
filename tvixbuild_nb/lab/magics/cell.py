"""%%sandbox: the cell's body as a script in the sandbox that is meant."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from IPython.core.error import UsageError
from IPython.display import display

from tvixbuild_nb.lab.magics.session import Session
from tvixbuild_nb.lab.magics.words import Words, pair, seconds
from tvixbuild_nb.sandbox import Run, Sandbox

USAGE = "%%sandbox [NAME] [--to VARIABLE] [--shell PATH] [--timeout SECONDS] [--network] [--env K=V]... [--keep WHICH]"
OPTIONS = ("--env", "--keep", "--network", "--shell", "--timeout", "--to")
KEEP = ("failure", "always", "never")


def words() -> Words:
    found = Words(USAGE)
    found.add_argument("name", nargs="?")
    found.add_argument("--to")
    found.add_argument("--shell", default="/bin/sh")
    found.add_argument("--timeout", type=seconds)
    found.add_argument("--network", action="store_true")
    found.add_argument("--env", type=pair, action="append", default=[])
    found.add_argument("--keep", choices=KEEP, default="failure")
    return found


def run_cell(session: Session, line: str, body: str) -> None:
    """Run ``body`` as the sandbox's command, which it stays; what it writes appears under the cell as it comes.

    Network and variables of the line are for this run alone. A build that fails shows its explanation. The run is in
    ``_run``, and where ``--to`` says.
    """
    asked = words().read(line)
    sandbox = session.sandbox() if asked.name is None else session.use(asked.name)
    if not body.strip():
        raise UsageError("the cell has no script below its first line")
    if asked.to is not None and not asked.to.isidentifier():
        raise UsageError(f"--to {asked.to}: not a variable's name")
    sandbox.command = (asked.shell, "-c", body)
    with _for_this_run(sandbox, dict(asked.env), asked.network):
        run = sandbox.start(timeout=asked.timeout, keep=asked.keep)
    session.keep(run, asked.to)
    follow(run)
    if not run.ok:
        print(run)
        display(run.explain())


def follow(run: Run) -> None:
    """Show the run's log as it comes; the stop button cancels it."""
    try:
        run.follow(sys.stdout)
    except KeyboardInterrupt:
        run.cancel()
        run.follow(None)


@contextmanager
def _for_this_run(sandbox: Sandbox, env: dict[str, str], network: bool) -> Iterator[None]:
    before: dict[str, Any] = {"env": dict(sandbox.env), "network_access": sandbox.network_access}
    sandbox.env = {**sandbox.env, **env}
    sandbox.network_access = sandbox.network_access or network
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(sandbox, name, value)
