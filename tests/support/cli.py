"""Running the command: in this process, or as a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

from tvixbuild_nb.cli import main
from tvixbuild_nb.request import BuildConstraints, BuildRequest


class Command:
    """Calls main() and keeps what it wrote; ``capfdbinary`` as pytest gives it."""

    def __init__(self, capture: Any) -> None:
        self._capture = capture
        self.out = b""
        self.err = ""

    def __call__(self, *argv: str | Path, status: int = 0) -> str:
        """The text on standard output; the exit status must be ``status``."""
        self._capture.readouterr()
        try:
            found = main([str(word) for word in argv])
        except SystemExit as left:  # argparse
            found = left.code if isinstance(left.code, int) else 1
        self.out, err = self._capture.readouterr()
        self.err = err.decode()
        assert found == status, self.err
        assert "Traceback" not in self.err
        return self.out.decode(errors="replace")

    def json(self, *argv: str | Path, status: int = 0) -> Any:
        """The one JSON value on standard output."""
        return json.loads(self(*argv, "--json", status=status))


def request_of(script: str, **changes: Any) -> BuildRequest:
    """A request whose command is a shell script, with one output."""
    fields: dict[str, Any] = {
        "command_args": ["/bin/sh", "-euc", script],
        "working_dir": "build",
        "scratch_paths": ["build", "nix/store"],
        "inputs_dir": "nix/store",
        "outputs": ["nix/store/out"],
        "constraints": BuildConstraints(system="x86_64-linux", provide_bin_sh=True),
    }
    return BuildRequest(**{**fields, **changes})


def start_command(*argv: str | Path, **options: Any) -> subprocess.Popen[bytes]:
    """The command as a process, its output in pipes."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([sys.executable, "-m", "tvixbuild_nb", *map(str, argv)], **options)


def on_terminal(*argv: str | Path, width: int) -> str:
    """What the command, a process of its own, writes on a terminal that is ``width`` columns wide; it must succeed."""
    ours, theirs = pty.openpty()
    try:
        termios.tcsetwinsize(theirs, (24, width))
        environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
        environment.pop("COLUMNS", None)
        with start_command(*argv, stdout=theirs, stderr=theirs, env=environment) as process:
            os.close(theirs)
            theirs = -1
            shown = b""
            # The terminal ends with an error when nobody has it open any more.
            with contextlib.suppress(OSError):
                while piece := os.read(ours, 1 << 16):
                    shown += piece
        assert process.returncode == 0, shown.decode()
        return shown.decode()
    finally:
        os.close(ours)
        if theirs >= 0:
            os.close(theirs)
