"""Runs where nobody looks: however long the log, what a notebook keeps of a run is bounded."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path

import nbformat
import papermill
import pytest
from nbformat import NotebookNode
from playwright.sync_api import Playwright, expect

from support.static import executed, page_of, static_violations, without_scripts

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]

# Bytes of one run's outputs in a notebook: verdict, stages and 50 lines of log, as HTML and as text.
BOUND = 64 * 1024
SECRET = "hunter2-hunter2"
LONG = """
from tvixbuild_nb import Sandbox
run = Sandbox('''i=0; while [ $i -lt 100000 ]; do i=$((i+1)); echo "<b>line $i</b> of $TOKEN"; done; exit 3''',
    env={"TOKEN": TOKEN}, secrets=["TOKEN"]).run(keep="never")
"""
GIVEN = f"import base64; TOKEN = base64.b64decode({b64encode(SECRET.encode())}).decode()"


def check(notebook: NotebookNode, cell: int) -> None:
    (output,) = notebook.cells[cell].outputs
    assert len(nbformat.writes(nbformat.v4.new_notebook(cells=[notebook.cells[cell]]))) < BOUND
    for kind in ("text/plain", "text/html"):
        text = output.data[kind]
        assert "failed at build" in text and "status 3" in text and "100,000 lines" in text
        assert "line 100000" in text and "line 9</b>" not in text and "was running" not in text
        assert SECRET not in text and "[secret TOKEN]" in text
    assert "<b>line" not in output.data["text/html"] and SECRET not in nbformat.writes(notebook)


def test_nbclient_and_the_page_without_scripts(tmp_path: Path, playwright: Playwright) -> None:
    notebook = executed((GIVEN, LONG), tmp_path)
    check(notebook, 1)
    path = page_of(notebook, tmp_path)
    with without_scripts(playwright, path) as page:
        expect(page.get_by_text("failed at build").first).to_be_visible()
        page.get_by_text("log: 100,000 lines").click()
        expect(page.get_by_text("<b>line 100000</b> of [secret TOKEN]").first).to_be_visible()
    assert static_violations(playwright, path, ".jp-OutputArea-output") == []


def test_papermill(tmp_path: Path) -> None:
    source = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in (GIVEN, LONG)])
    source.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(source, tmp_path / "in.ipynb")
    done = papermill.execute_notebook(
        str(tmp_path / "in.ipynb"), str(tmp_path / "out.ipynb"), cwd=os.fspath(tmp_path), progress_bar=False
    )
    check(done, 1)
    # Widgets' state, which papermill keeps, is as large as the front end, not as the log.
    assert (tmp_path / "out.ipynb").stat().st_size < 4 * BOUND
