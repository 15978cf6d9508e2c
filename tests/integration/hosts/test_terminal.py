"""Views where there is no notebook: a script's output, and IPython in narrow and wide terminals."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from support.views import HOSTILE, SETUP

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root", "no_leftovers")]
VALUES = ("sb", "sb.preview()", "sb.mount_table()", "sb.isolation()", "run", "run.log", "sb.history()", "doctor()")
JUPYTER = "sorted({'anywidget', 'ipywidgets', 'ipykernel'} & set(sys.modules))"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def test_a_script_prints_text_without_colours() -> None:
    code = f"{SETUP}\nimport sys\nrun = sb.run()\n" + "\n".join(f"print({value})" for value in VALUES)
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nprint('jupyter:', {JUPYTER})"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    # The build's own words are passed on as they are, and so is what run.log prints; nothing of ours has colours.
    printed = done.stdout.replace("\x1b[31mred\x1b[0m", "")
    assert "\x1b" not in printed and "jupyter: []" in printed
    assert f"log line {HOSTILE}" in printed and "/dev/shm" in printed and "succeeded" in printed


@pytest.mark.parametrize("columns", [60, 160])
def test_in_ipython(columns: int, tmp_path: Path) -> None:
    # pytest's workers have these set, and they come before what the terminal says itself.
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    terminal = pexpect.spawn(
        sys.executable,
        ["-m", "IPython", "--no-banner", "--simple-prompt", "--no-confirm-exit"],
        env={**environment, "IPYTHONDIR": str(tmp_path), "TERM": "xterm"},
        dimensions=(60, columns),
        encoding="utf-8",
        timeout=60,
    )

    try:
        terminal.expect(r"In \[\d+\]: ")
        terminal.setecho(False)
        shown(terminal, f"import sys; exec({SETUP!r})")
        going = shown(terminal, "run = sb.run()")
        assert f"log line {HOSTILE}" in going
        for value in VALUES:
            text = _COLOURS.sub("", shown(terminal, value)).replace("\r", "")
            assert "\x1b" not in text and len(text.splitlines()) > 2, (value, text)
            too_wide = [line for line in text.splitlines() if len(line) > columns]
            assert too_wide == [], (value, too_wide[:3])
        assert "[]" in shown(terminal, JUPYTER)
    finally:
        terminal.close(force=True)


def shown(terminal: pexpect.spawn, code: str) -> str:
    """What IPython printed for one line of code."""
    terminal.sendline(code)
    terminal.expect(r"\r\nIn \[\d+\]: ")
    return str(terminal.before)
