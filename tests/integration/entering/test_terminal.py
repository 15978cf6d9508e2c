"""tvixbuild-nb shell on a terminal: interactive, of the window's size, and the terminal is left as it was found."""

from __future__ import annotations

import os
import re
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest

from support.entered import sandbox_at, says
from support.leftovers import Leftovers

pytestmark = pytest.mark.integration

PROMPT = r"\$ (?:\x1b\[6n)?"


@contextmanager
def terminal(*words: str) -> Iterator[pexpect.spawn]:
    """The command on a terminal of 40 lines and 100 columns."""
    there = pexpect.spawn(
        sys.executable, ["-m", "tvixbuild_nb", *words], encoding="utf-8", timeout=40, dimensions=(40, 100),
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    try:
        yield there
    finally:
        there.close(force=True)


@pytest.fixture(autouse=True)
def _warm(no_leftovers: Leftovers) -> None:
    no_leftovers.warm = True


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_a_run_that_is_over_is_entered_on_a_terminal(passable_tmp: Path, runtime: str) -> None:
    sandbox = sandbox_at(passable_tmp, "echo kept > half; exit 3", runtime)
    run = sandbox.run(show=False)
    with terminal("shell", run.id) as there:
        there.expect("differs from the run: arguments")
        there.expect(PROMPT)
        before = termios.tcgetattr(there.child_fd)
        assert not before[3] & termios.ECHO, "what is typed goes inside as it is"
        there.sendline("cat half; tty; stty size; id -u")
        there.expect(r"kept\r\n/dev/pts/\d+\r\n40 100\r\n1000\r\n")
        there.setwinsize(33, 99)
        there.expect(PROMPT)
        there.sendline("sleep 1; stty size")
        there.expect("33 99")
        # Ctrl-C is for what goes on inside.
        there.sendline("(trap 'echo heard; exit' INT; echo begun; while :; do sleep 0.1; done)")
        there.expect(r"\r\nbegun\r\n")
        there.sendintr()
        there.expect("heard")
        there.expect(PROMPT)
        there.sendline("echo more > new; exit 5")
        there.expect(pexpect.EOF)
        there.close()
        assert there.exitstatus == 5
    assert run.exec("cat new").output == "more\n"
    run.delete()


@pytest.mark.usefixtures("root")
def test_a_run_that_goes_on_is_entered_on_a_terminal_and_outlives_the_visit(passable_tmp: Path) -> None:
    run = sandbox_at(passable_tmp, "echo begun; while [ ! -e go ]; do sleep 0.1; done; touch /nix/store/out").start()
    says(run, "begun")
    with terminal("shell", run.id) as there:
        there.expect(PROMPT)
        there.sendline("ps")
        there.expect(r"1 \w+\s+/bin/sh -c echo begun")
        # The window is closed.
        there.close(force=True)
    assert run.running
    assert "ttyless" in run.exec("[ -t 0 ] || echo ttyless").output
    assert run.exec("touch go").ok and run.wait().ok


@pytest.mark.usefixtures("root")
def test_a_command_on_a_terminal_writes_as_it_goes_and_without_secrets(passable_tmp: Path) -> None:
    env = {"TOKEN": "hunter2-hunter2", "PATH": "/bin"}
    run = sandbox_at(passable_tmp, "exit 3", env=env, secrets=["TOKEN"]).run(show=False)
    script = r"printf '%s\n' $TOKEN; printf '\033]0;title\007plain\n'; sleep 1; echo late; exit 4"
    with terminal("exec", run.id, "--", "/bin/sh", "-c", script) as there:
        there.expect(re.escape("[secret TOKEN]\r\nplain\r\n"))
        there.expect("late")
        there.expect(pexpect.EOF)
        there.close()
        assert there.exitstatus == 4
    with terminal("exec", run.id, "nope") as there:
        there.expect("nope")
        there.expect(pexpect.EOF)
        there.close()
        assert there.exitstatus == 1
    run.delete()
