"""Progress under a notebook's cell: while it goes on, when it is over, and where nobody looks."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from support import static
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
"""


@pytest.fixture
def executed(tmp_path: Path) -> Callable[..., Any]:
    """Executes cells headless; the notebook then."""
    return lambda *cells: static.executed(cells, tmp_path)


@pytest.mark.parametrize("without", ["", "import sys; sys.modules['anywidget'] = None"], ids=["live", "no anywidget"])
def test_a_notebook_nobody_looks_at_keeps_one_line(executed: Callable[..., Any], without: str) -> None:
    notebook = executed(without, WORK, "work(20)", "work(2)")
    outputs = notebook.cells[2].outputs
    assert len(outputs) == 1
    data = outputs[0]["data"]
    assert set(data) == {"text/plain", "text/html"}
    assert data["text/plain"].startswith("ingest: 60 files, ") and "goes on" not in data["text/plain"]
    assert re.search(r"20\.0 MB in [2-9]\d*\.\d", data["text/plain"]) and data["text/plain"] in data["text/html"]
    assert notebook.cells[3].outputs == []


NESTED = """
import os, tempfile, threading
from tvixbuild_nb import open_castore
source = tempfile.mkdtemp()
for number in range(20):
    with open(f"{source}/{number}", "wb") as file:
        file.write(os.urandom(1000))
store = open_castore("memory:")
class Slow(Shown):
    def advance(self, files=0, bytes=0):
        time.sleep(0.05)
        super().advance(files, bytes)
with Slow("outer") as outer:
    beside = threading.Thread(target=work, args=(10, "beside"))
    beside.start()
    for step in range(8):
        outer.advance(1)
        time.sleep(0.1)
    with Slow("inner") as inner:
        for step in range(8):
            inner.advance(1)
            time.sleep(0.1)
    beside.join()
"""
FAILING = """
os.mkfifo(f"{source}/zz")
try:
    with Slow("ingest") as shown:
        for step in range(12):
            shown.advance(1)
            time.sleep(0.1)
        store.ingest(source, progress=shown)
except Exception as error:
    pass
os.unlink(f"{source}/zz")
"""
EXPORT = """
node = store.ingest(source)
with Slow("export") as shown:
    for step in range(12):
        shown.advance(0)
        time.sleep(0.1)
    store.export(node, f"{source}-copy", progress=shown)
"""


def test_work_within_other_work_beside_it_and_work_that_fails(executed: Callable[..., Any]) -> None:
    """Each has one line in the end; what another thread does belongs to no cell."""
    cells = executed(WORK, NESTED, FAILING, EXPORT).cells
    nested, failing, export = ([output["data"]["text/plain"] for output in cell.outputs] for cell in cells[1:])
    assert [text.partition(":")[0] for text in nested] == ["outer", "inner"]
    assert len(failing) == 1 and failing[0].startswith("ingest: ") and failing[0].endswith("ended by IngestError")
    assert len(export) == 1 and export[0].startswith("export: 20 files, 20.0 kB in")


def test_seen_while_a_cell_works_and_one_line_in_the_end(lab: Lab) -> None:
    title = "<img src=x onerror=window.bad=1>\\x1b[31m\\u202e"
    with lab.notebook("progress", WORK + f"work(100, '{title}')") as notebook:
        notebook.run_all(wait=False)
        view = notebook.view("progress")
        words = view.locator(".mono")
        expect(words).to_contain_text("<img src=x onerror=window.bad=1>\\x1b[31m\\u202e: ")
        seen = {words.inner_text()}

        def moved() -> bool:
            seen.add(words.inner_text())
            return len(seen) > 4

        notebook.until(moved)
        notebook.picture("going")
        assert notebook.violations("progress") == []
        notebook.await_kernel()
        expect(view).to_have_count(0)
        output = notebook.page.locator(".jp-OutputArea-output")
        expect(output).to_have_count(1)
        expect(output).to_contain_text("300 files, 100.0 MB in")
        notebook.picture("over")
        assert notebook.page.evaluate("window.bad") is None
        saved = notebook.save()["cells"][0]["outputs"]
        assert len(saved) == 1 and set(saved[0]["data"]) == {"text/plain", "text/html"}


def test_a_cell_that_is_interrupted_says_so_in_its_line(lab: Lab) -> None:
    with lab.notebook("progress-stopped", WORK + "work(600)") as notebook:
        notebook.run_all(wait=False)
        expect(notebook.view("progress")).to_contain_text("ingest: ")
        notebook.page.evaluate("void window.jupyterapp.commands.execute('notebook:interrupt-kernel')")
        expect(notebook.page.locator(".jp-OutputArea-output").first).to_contain_text("ended by KeyboardInterrupt")
        expect(notebook.view("progress")).to_have_count(0)
        notebook.await_kernel()
