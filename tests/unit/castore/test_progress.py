"""Progress is seen where somebody looks, after half a second, and nowhere else; notebooks: integration/widgets."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import textwrap
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


def run(code: str, steps: int, stderr: int, columns: int = 100) -> str:
    environment = os.environ | {"PYTHONPATH": ROOT, "TERM": "xterm", "COLUMNS": str(columns)}
    command = [sys.executable, "-c", code, str(steps)]
    return subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True, check=True, timeout=60
    ).stdout


def in_terminal(code: str, steps: int, columns: int = 100) -> tuple[str, str]:
    ours, theirs = pty.openpty()
    try:
        out = run(code, steps, theirs, columns)
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


FAILS = WORK.replace("progress.advance(3, 1_000_000)", "progress.advance(3, 1_000_000); step < 8 or int('no number')")
NESTED = """
import time, threading
from tvixbuild_nb.castore.progress import Shown
def work(title, seconds):
    with Shown(title) as progress:
        for step in range(seconds * 10):
            time.sleep(0.1)
            progress.advance(1, 1000)
with Shown("outer\\x1b[31m[red]") as outer:
    other = threading.Thread(target=work, args=("beside", 2))
    other.start()
    work("inner", 1)
    for step in range(15):
        time.sleep(0.1)
        outer.advance(1, 1000)
    other.join()
"""


def test_the_terminal_is_as_before_when_work_fails() -> None:
    out, seen = in_terminal(f"try:\n{textwrap.indent(FAILS, '    ')}\nexcept ValueError as error: print(error)", 12)
    assert "no number" in out and "ingest: " in seen
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l"), "the cursor is there again"
    assert "files" not in screen(seen)[-1], "nothing of the line is left"


def test_work_within_and_beside_other_work_has_lines_of_its_own() -> None:
    _, seen = in_terminal(NESTED, 0)
    together = [picture for picture in screen(seen) if all(name in picture for name in ("inner:", "beside:"))]
    assert together and any("beside:" in picture and "outer\\x1b[31m[red]:" in picture for picture in screen(seen))
    assert "\x1b[31m[red]" not in seen and seen.count("\x1b[?25h") == 1, "one display, and no markup"


def test_a_narrow_terminal_has_lines_that_fit() -> None:
    _, seen = in_terminal(WORK.replace('"ingest"', '"ingest of something with a long name"'), 9, columns=30)
    assert "ingest" in seen
    assert max(len(line) for picture in screen(seen) for line in picture.split("\n")) <= 30


def screen(seen: str) -> list[str]:
    """What stood on the terminal after each drawing, without colours."""
    pictures = re.split(r"\x1b\[1A|\r", re.sub(r"\x1b\[\??[0-9;]*[hlmK]", "", seen.replace("\r\n", "\n")))
    joined: list[str] = []
    for part in pictures:
        joined.append(part.strip("\n"))
    return joined


def test_a_file_or_pipe_sees_nothing() -> None:
    assert in_pipe(WORK, 12) == ""


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2 * 10**12, "2.0 TB")])
def test_bytes_for_people(count: int, text: str) -> None:
    assert human(count) == text
