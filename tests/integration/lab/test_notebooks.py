"""Notebooks in real kernels with real builds: executed, stored without what is volatile, found true, found drifted."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Playwright, expect

import tvixbuild_nb
from support.cli import Command, on_terminal, start_command
from support.notebooks import TEACHING, outputs, put
from support.static import executed, page_of, static_violations, without_scripts
from support.users import AsUser
from tvixbuild_nb import lab, runs

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root", "no_leftovers")]

PACKAGE = Path(tvixbuild_nb.__file__).parent
RUN_ID = re.compile(r"\b20\d{6}-\d{6}-[0-9a-f]{6}\b")
MEASURED = re.compile(r"\b\d+(\.\d+)? ms\b|\b\d+\.\d{2,3} s\b|\b20\d\d-\d\d-\d\d \d\d:\d\d:\d\d|\[40\d{8}\]|18790\d{5}")


@pytest.mark.slow
def test_it_stays_true(command: Command, tmp_path: Path, playwright: Playwright) -> None:
    """Run, run again, check, check again: the same bytes, and green; the page shows it without a kernel."""
    path = put(tmp_path / "own place" / "teaching.ipynb", *TEACHING)
    assert "written to" in command("notebooks", "run", path)
    first = path.read_text()
    assert "unchanged" in command("notebooks", "run", path)
    assert path.read_text() == first
    for _ in range(2):
        assert "1 of 1 as stored" in command("notebooks", "check", tmp_path)
    assert path.read_text() == first and len(runs()) == 0, "its runs were its own"
    assert not RUN_ID.search(first) and not MEASURED.search(first), (
        "nothing that another execution would have otherwise"
    )
    assert "widget" not in first and str(tmp_path) not in first and len(first) < 1_000_000
    for number in range(1, 6):
        assert f"run-{number}" in first or number > 3

    page_at = page_of(nbformat.read(path, as_version=4), tmp_path)
    with without_scripts(playwright, page_at) as page:
        expect(page.get_by_text("hello you").first).to_be_visible()
        expect(page.get_by_text("builds run here, or are replayed").first).to_be_visible()
        expect(page.get_by_text("first-upper: right").first).to_be_visible()
        expect(page.get_by_role("cell", name="/nix/store/src").first).to_be_visible()
        expect(page.get_by_text("the resulting tree of /").first).to_be_visible()
        expect(page.get_by_text("file", exact=True).first).to_be_visible()
        expect(page.get_by_text("not yet: this is a sandbox").first).to_be_visible()
    assert static_violations(playwright, page_at, ".jp-OutputArea-output") == []


def test_a_cell_that_drifted_is_named(command: Command, tmp_path: Path) -> None:
    path = put(tmp_path / "a.ipynb", "1 + 1", "print('one')\nprint('two')", "{}['x']")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[2].metadata.tags = ["raises-exception"]
    nbformat.write(notebook, path)
    command("notebooks", "run", path)
    stored = nbformat.read(path, as_version=4)
    stored.cells[1].outputs[0].text = "one\n2\n"
    stored.cells[2].outputs[0].ename = "ValueError"
    nbformat.write(stored, path)
    before = path.read_text()
    said = command("notebooks", "check", path, status=1)
    assert f"{path}: 2 cells are not as stored" in said and "cell 1" not in said
    assert "cell 2 (cell-01): print('one')" in said and "-2" in said and "+two" in said
    assert "cell 3 (cell-02): {}['x']" in said and "not stored: error: KeyError" in said
    assert path.read_text() == before, "nothing is written"
    assert "is stored as never executed" in command("notebooks", "check", put(tmp_path / "b.ipynb", "1"), status=1)


def test_a_template_of_config_json_that_changed(command: Command, tmp_path: Path) -> None:
    """A copy of the package, in which one path is masked no more, stands before the installed one."""
    path = put(
        tmp_path / "a.ipynb",
        "from tvixbuild_nb import Sandbox\nsandbox = Sandbox('true')",
        "print(sandbox.config_json())",
        "sandbox.preview()",
        "1",
    )
    command("notebooks", "run", path)
    command("notebooks", "check", path)
    shutil.copytree(PACKAGE, tmp_path / "changed" / "tvixbuild_nb")
    facts = tmp_path / "changed" / "tvixbuild_nb" / "oci" / "facts.py"
    text = facts.read_text()
    assert '"/proc/timer_list"' in text
    facts.write_text(text.replace('"/proc/timer_list"', '"/proc/timer_lists"'))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "changed")}
    process = start_command("notebooks", "check", path, env=environment, cwd=tmp_path)
    out, err = process.communicate(timeout=120)
    said = out.decode()
    assert process.returncode == 1, err
    assert "2 cells are not as stored" in said and "cell 2 (cell-01): print(sandbox.config_json())" in said
    assert '-      "/proc/timer_list",' in said and '+      "/proc/timer_lists",' in said and "cell 3" in said


def test_one_that_fails_does_not_stop_the_others(command: Command, tmp_path: Path) -> None:
    put(tmp_path / "in" / "bad.ipynb", "1", "# what a pity\nraise KeyError('nothing')", "2")
    put(tmp_path / "in" / "dead.ipynb", "import os\nos._exit(3)")
    put(tmp_path / "in" / "deep" / "good.ipynb", "40 + 2")
    put(tmp_path / "in" / "slow.ipynb", "while True:\n    pass")
    before = {path: path.read_text() for path in (tmp_path / "in").glob("*.ipynb")}
    said = command("notebooks", "run", tmp_path / "in", "--timeout", "3", status=1)
    assert "bad.ipynb: failed in cell 2 (cell-01): # what a pity\n  KeyError: 'nothing'" in said
    assert "dead.ipynb: failed in cell 1 (cell-00): import os\n  the kernel died" in said
    assert "slow.ipynb: failed in cell 1 (cell-00): while True:\n  it took longer than 3 s" in said
    assert (
        "1 of 4 executed" in said and outputs(tmp_path / "in" / "deep" / "good.ipynb", 0)[0].data["text/plain"] == "42"
    )
    assert {path: path.read_text() for path in before} == before
    assert "failed in cell 2" in command("notebooks", "check", tmp_path / "in" / "bad.ipynb", status=2)

    command("notebooks", "run", tmp_path / "in", "--output-dir", tmp_path / "out", "--timeout", "3", status=1)
    assert {path: path.read_text() for path in before} == before
    assert outputs(tmp_path / "out" / "bad.ipynb", 0)[0].data["text/plain"] == "1", "as far as it went"
    assert outputs(tmp_path / "out" / "deep" / "good.ipynb", 0)


def test_several_at_once(tmp_path: Path) -> None:
    code = (
        "import time\nbegan = time.time()\ntime.sleep(1.5)\n_ = open('{}.txt', 'w').write(f'{{began}} {{time.time()}}')"
    )
    for name in "ab":
        put(tmp_path / f"{name}.ipynb", code.format(name))
    assert lab.run_notebooks(tmp_path, jobs=2)
    (began, ended), other = (tuple(map(float, (tmp_path / f"{name}.txt").read_text().split())) for name in "ab")
    assert began < other[1] and other[0] < ended, "they waited side by side"
    for name in "ab":
        (tmp_path / f"{name}.txt").unlink()
    assert lab.check_notebooks(tmp_path / "a.ipynb", tmp_path / "b.ipynb", jobs=1)
    (began, ended), other = (tuple(map(float, (tmp_path / f"{name}.txt").read_text().split())) for name in "ab")
    assert ended <= other[0] or other[1] <= began, "one after the other"


def test_a_build_s_places_are_the_notebook_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "from tvixbuild_nb import Sandbox, runs\nrun = Sandbox('exit 3').run()\n",
        f"open({str(tmp_path / 'bundle')!r}, 'w').write(str(run.bundle))\n",
        "print(run.bundle, run.castore.address)\nlen(runs())",
    )
    path = put(tmp_path / "a.ipynb", "".join(code))
    assert lab.run_notebooks(path) and not runs()
    shown = nbformat.read(path, as_version=4).cells[0].outputs
    assert shown[-1].data["text/plain"] == "1"
    assert "/kept-run-1 " in shown[-2].text and "~/.local/share/tvixbuild-nb/castore" in shown[-2].text
    bundle = Path((tmp_path / "bundle").read_text())
    assert bundle.name.startswith("kept-") and not bundle.exists(), "its bundle goes with it"
    monkeypatch.setenv("TVIXBUILD_NB_STATE", str(tmp_path / "state"))
    assert lab.check_notebooks(path) and len(runs()) == 1, "a state that somebody names is used"
    runs()[0].delete()


def test_from_a_notebook_s_own_kernel(tmp_path: Path) -> None:
    """Its loop is running already, and it may have another notebook executed."""
    put(tmp_path / "inner.ipynb", "6 * 7")
    notebook = executed(
        ("from tvixbuild_nb import lab\nlab.run_notebooks('inner.ipynb')", "lab.check_notebooks('inner.ipynb')"),
        tmp_path,
    )
    assert "1 of 1 executed" in notebook.cells[0].outputs[0].data["text/plain"]
    assert "1 of 1 as stored" in notebook.cells[1].outputs[0].data["text/plain"]


def test_ctrl_c_ends_the_kernels(tmp_path: Path) -> None:
    path = put(tmp_path / "a.ipynb", "import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(61)")
    before = path.read_text()
    process = start_command("notebooks", "run", path)
    noted = tmp_path / "pid"
    deadline = time.monotonic() + 60
    while not (noted.exists() and noted.read_text()):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130 and b"Traceback" not in err, err.decode()
    assert not Path(f"/proc/{noted.read_text()}").exists() and path.read_text() == before


@pytest.mark.parametrize(("argv", "said"), [
    (["nothing.ipynb"], "no such file"), (["run"], "notebooks"), (["broken.ipynb"], "no notebook"),
])  # fmt: skip
def test_what_is_refused(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.ipynb").write_text("no json")
    command("notebooks", "run", *([] if argv == ["run"] else argv), status=1 if "broken" in argv[0] else 2)
    assert said in command.err


def test_an_unknown_kernel(command: Command, tmp_path: Path) -> None:
    path = put(tmp_path / "a.ipynb", "1")
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.kernelspec = {"display_name": "X", "language": "x", "name": "no-such-kernel"}
    nbformat.write(notebook, path)
    assert "there is no kernel 'no-such-kernel' here" in command("notebooks", "run", path, status=1)


def test_as_an_ordinary_user(as_user: AsUser) -> None:
    """Their kept bundles, which belong to subordinate ids, go as well."""
    path = put(
        as_user.home / "a.ipynb",
        "from tvixbuild_nb import Sandbox",
        "Sandbox('umask 077; mkdir /build/closed; touch /build/closed/file; exit 3').run().bundle.name",
    )
    for place in (as_user.home, path):
        os.chown(place, as_user.user.uid, as_user.user.gid)
    temporary = as_user.home / "tmp"
    temporary.mkdir()
    os.chown(temporary, as_user.user.uid, as_user.user.gid)
    for words in ("run", "check", "check"):
        line = [as_user.python, "-m", "tvixbuild_nb", "notebooks", words, str(path)]
        done = as_user(line, env={"TMPDIR": str(temporary)}, check=True)
    assert "1 of 1 as stored" in done.stdout
    assert "kept-run-1" in path.read_text() and list(temporary.iterdir()) == []


def test_progress_on_a_terminal(tmp_path: Path) -> None:
    path = put(tmp_path / "a.ipynb", "import time", "time.sleep(1.5)", "3")
    shown = on_terminal("notebooks", "run", path, width=160)
    assert "1/3" in shown and "cells" in shown and "1 of 1 executed" in shown
