"""Progress is seen where somebody looks, after half a second, and nowhere else; notebooks: integration/widgets."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tvixbuild_nb.castore.progress import human

ROOT = str(Path(__file__).parents[3])

WORK = """
import sys, time
from tvixbuild_nb.castore.progress import Shown
with Shown("ingest") as progress:
    for step in range(int(sys.argv[1])):
        time.sleep(0.1)
        progress.advance(3, 1_000_000)
print("rich" in sys.modules, "IPython" in sys.modules)
"""


def run(code: str, steps: int, stderr: int) -> str:
    environment = os.environ | {"PYTHONPATH": ROOT, "TERM": "xterm", "COLUMNS": "100"}
    command = [sys.executable, "-c", code, str(steps)]
    return subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True, check=True, timeout=60
    ).stdout


def in_terminal(code: str, steps: int) -> tuple[str, str]:
    ours, theirs = pty.openpty()
    try:
        out = run(code, steps, theirs)
        os.set_blocking(ours, False)
        try:
            seen = os.read(ours, 1 << 16).decode()
        except BlockingIOError:
            seen = ""
    finally:
        os.close(ours)
        os.close(theirs)
    return out, seen


def in_pipe(code: str, steps: int) -> str:
    reading, writing = os.pipe()
    try:
        run(code, steps, writing)
        os.set_blocking(reading, False)
        try:
            return os.read(reading, 1 << 16).decode()
        except BlockingIOError:
            return ""
    finally:
        os.close(reading)
        os.close(writing)


def test_a_terminal_sees_files_bytes_and_rate() -> None:
    out, seen = in_terminal(WORK, 12)
    assert out == "True False\n"
    assert "ingest" in seen and "files" in seen and "MB/s" in seen


def test_short_work_shows_nothing() -> None:
    out, seen = in_terminal(WORK, 2)
    assert (out, seen) == ("False False\n", "")


def test_a_file_or_pipe_sees_nothing() -> None:
    assert in_pipe(WORK, 12) == ""


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2 * 10**12, "2.0 TB")])
def test_bytes_for_people(count: int, text: str) -> None:
    assert human(count) == text
