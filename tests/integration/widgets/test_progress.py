"""Progress under a notebook's cell: while it goes on, when it is over, and where nobody looks."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from support.lab import Lab

pytestmark = pytest.mark.integration
WORK = """
import time
from tvixbuild_nb.castore.progress import Shown
def work(steps, title="ingest"):
    with Shown(title) as progress:
        for step in range(steps):
            time.sleep(0.1)
            progress.advance(3, 1_000_000)
            if title == "broken" and step > 8:
                raise KeyboardInterrupt
"""


def executed(*cells: str) -> Any:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=60, store_widget_state=False, kernel_name="python3").execute()
    return notebook


@pytest.mark.parametrize("without", ["", "import sys; sys.modules['anywidget'] = None"], ids=["live", "no anywidget"])
def test_a_notebook_nobody_looks_at_keeps_one_line(without: str) -> None:
    notebook = executed(without, WORK, "work(20)", "work(2)")
    outputs = notebook.cells[2].outputs
    assert len(outputs) == 1
    data = outputs[0]["data"]
    assert set(data) == {"text/plain", "text/html"}
    assert data["text/plain"].startswith("ingest: 60 files, ") and "goes on" not in data["text/plain"]
    assert "20.0 MB in 2." in data["text/plain"] and data["text/plain"] in data["text/html"]
    assert notebook.cells[3].outputs == []


def test_seen_while_a_cell_works_and_one_line_in_the_end(lab: Lab) -> None:
    title = "<img src=x onerror=window.bad=1>\\x1b[31m\\u202e"
    with lab.notebook("progress", WORK + f"work(60, '{title}')") as notebook:
        notebook.run_all(wait=False)
        view = notebook.view("progress")
        view.wait_for()
        words = view.locator(".mono")
        seen = {words.inner_text()}
        for _ in range(10):
            notebook.page.wait_for_timeout(200)
            seen.add(words.inner_text())
        assert len(seen) > 4, seen
        assert "<img src=x onerror=window.bad=1>\\x1b[31m\\u202e: " in words.inner_text()
        notebook.picture("going")
        assert notebook.violations("progress") == []
        notebook.await_kernel()
        view.wait_for(state="detached")
        output = notebook.page.locator(".jp-OutputArea-output")
        assert output.count() == 1 and "180 files, 60.0 MB in" in output.inner_text()
        notebook.picture("over")
        assert notebook.page.evaluate("window.bad") is None
        saved = notebook.save()["cells"][0]["outputs"]
        assert len(saved) == 1 and set(saved[0]["data"]) == {"text/plain", "text/html"}
