"""Exercises as autograders execute them: a cell that raises, and a test that fails, are points that are not given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from nbclient.exceptions import CellExecutionError

from support.static import executed
from tvixbuild_nb import lab
from tvixbuild_nb.errors import CheckFailed

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root", "no_leftovers")]

CHECK = "from tvixbuild_nb import lab\nlab.check({name!r}, run)"
DELETE = "run.delete()"


@pytest.mark.parametrize("name", ["first-upper", "limits-memory"])
def test_solutions_are_right(name: str, tmp_path: Path) -> None:
    """In a notebook, as nbgrader executes a test cell."""
    notebook = executed((lab.solution(name).code, CHECK.format(name=name), DELETE), tmp_path)
    (shown,) = notebook.cells[1].outputs
    assert shown.data["text/plain"].startswith(f"✓ {name}: right") and "text/html" in shown.data


def test_a_wrong_answer_is_an_error_with_feedback_and_no_traceback(tmp_path: Path) -> None:
    answer = "from tvixbuild_nb import Sandbox\nrun = Sandbox('exit 3').run(keep='never')"
    with pytest.raises(CellExecutionError) as raised:
        executed((answer, CHECK.format(name="first-upper")), tmp_path)
    assert raised.value.ename == "CheckFailed" and "run did not succeed" in raised.value.evalue
    assert "look at: run.explain()" in raised.value.traceback and "Traceback" not in raised.value.traceback


def test_a_kill_that_was_something_else() -> None:
    from tvixbuild_nb import Sandbox, SpecOptions

    options = SpecOptions.for_host(limits={"memory": 64 << 20})
    for script, said in (("exit 137", "nothing in it was killed"), ("true", "succeeded within its 67,108,864 bytes")):
        run = Sandbox(script, options=options).run(show=False, keep="never")
        with pytest.raises(CheckFailed, match=said):
            lab.check("limits-memory", run)


def test_plain_python_tests(tmp_path: Path) -> None:
    """otter-grader's tests, and pytest's, are functions that fail by raising."""
    (tmp_path / "test_q1.py").write_text(
        "from tvixbuild_nb import Sandbox, lab\n\n\n"
        f"{lab.solution('first-upper').code}\n\n\n"
        "def test_right():\n    lab.check('first-upper', run)\n\n\n"
        "def test_wrong():\n    lab.check('first-upper', sandbox)\n"
    )
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert "1 failed, 1 passed" in done.stdout and "not yet: this is a sandbox" in done.stdout, done.stdout
