"""The commands that go into a run's sandbox: exec, shell."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence

from rich.text import Text

from tvixbuild_nb.cli.entry import FAILED
from tvixbuild_nb.cli.screen import console, safe
from tvixbuild_nb.cli.terminal import interact
from tvixbuild_nb.keeper.visiting import Left, NotStarted
from tvixbuild_nb.sandbox import Run
from tvixbuild_nb.sandbox.entering import Entrance, entrance
from tvixbuild_nb.sandbox.executing import execute as execute_inside
from tvixbuild_nb.sandbox.shell import begins_anew
from tvixbuild_nb.sandbox.shells import shell_for

_STREAMS = (0, 1, 2)


def execute(args: Namespace) -> int:
    """Execute a command in a run's sandbox, and end as it ended."""
    run = Run.open(args.run)
    if run.recorded is not None:
        done = run.exec(args.words, fresh=args.fresh, tools=args.tools, output=sys.stdout)
        _tell(str(done.recorded) if done.reason is None else f"{done.reason}; {done.recorded}")
        return FAILED if done.exit_code is None else done.exit_code
    with entrance(run, fresh=args.fresh, tools=args.tools) as sandbox:
        if sys.stdout.isatty():
            stdin = None if sys.stdin.isatty() else sys.stdin.fileno()
            done = execute_inside(sandbox, args.words, timeout=args.timeout, output=sys.stdout, stdin=stdin)
            if done.reason is not None:
                _tell(done.reason)
            return FAILED if done.exit_code is None else done.exit_code
        words = args.words if sandbox.tools is None else sandbox.tools.on_path(args.words)
        return _attached(sandbox, words, args.timeout)


def shell(args: Namespace) -> int:
    """Open a shell in a run's sandbox, and end as it ended."""
    fresh = begins_anew(args.fresh or None, args.phase)
    with entrance(Run.open(args.run), fresh=fresh, tools=args.tools) as sandbox:
        plan = shell_for(sandbox, args.phase)
        interactive = sys.stdin.isatty() and sys.stdout.isatty()
        words = plan.interactive if interactive else plan.reading
        if sandbox.tools is not None:
            words = sandbox.tools.on_path(words)
        differences = sandbox.differences(words, terminal=interactive)
        _tell(f"differs from the run: {', '.join(sorted({_part(row.where) for row in differences}))}")
        if not interactive:
            return _attached(sandbox, words, None)
        visit = sandbox.enter(words, None)
        with visit:
            left = interact(visit)
            if left is not None and left.exit_code is None:
                _tell("the shell was ended with its sandbox" if left.sent_away or left.signal == 9 else "it was ended")
            return _status(left)


def _attached(sandbox: Entrance, words: Sequence[str], timeout: float | None) -> int:
    """Execute ``words`` with the streams of this process: nothing is read, kept or changed on the way."""
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) if sys.stdin.isatty() else None
    try:
        sys.stdout.flush()
        visit = sandbox.enter(words, _STREAMS if nothing is None else (nothing, 1, 2))
    except NotStarted as error:
        if not error.said:
            _tell(error.message)
        if "$PATH" in error.message:
            _tell(f"hint: a shell has commands of its own: tvixbuild-nb exec {sandbox.run.id} -- /bin/sh -c '...'")
        return FAILED
    finally:
        if nothing is not None:
            os.close(nothing)
    with visit:
        left = visit.wait(timeout)
    if left is None:
        _tell(f"ended after {timeout:g} s")
    return _status(left)


def _part(where: str) -> str:
    """The arguments as one: what they are is seen inside."""
    return "arguments" if where.startswith("process.args") else where.removeprefix("process.")


def _status(left: Left | None) -> int:
    return FAILED if left is None or left.exit_code is None else left.exit_code


def _tell(text: str) -> None:
    """On standard error: standard output is the command's."""
    console(stderr=True).print(Text(f"tvixbuild-nb: {safe(text)}"), soft_wrap=True)
