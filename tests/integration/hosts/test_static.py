"""A notebook of every kind of view, read without a kernel: as a page without scripts, and where nobody trusts it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
from nbconvert.exporters.html import HTMLExporter
from playwright.sync_api import Locator, Playwright, expect

from support.lab import Lab, axe
from support.static import executed, page_of, static_violations, without_scripts
from support.views import CELLS, HOSTILE, VIEWS

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]
ARTEFACTS = Path(__file__).parents[3] / "test-artefacts"
VIEW_TYPE = "application/vnd.jupyter.widget-view+json"
# The setup cell shows nothing, the last one progress.
SHOWN = len(VIEWS) + 1
BOUND = 400_000


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> nbformat.NotebookNode:
    """Every view, executed once, headless."""
    place = tmp_path_factory.mktemp("executed")
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("DATA", "STATE", "CACHE", "CONFIG"):
            patch.setenv(f"XDG_{kind}_HOME", str(place / kind.lower()))
        return executed(CELLS, place)


def bundles(notebook: Any) -> list[dict[str, Any]]:
    """What the cells showed, one display each."""
    found = [output["data"] for cell in notebook["cells"] for output in cell["outputs"] if "data" in output]
    assert len(found) == SHOWN, [sorted(data) for data in found]
    return found


def expect_static_forms(outputs: Locator) -> None:
    expect(outputs).to_have_count(SHOWN)
    for place, view in enumerate(VIEWS):
        expect(outputs.nth(place)).to_be_visible()
        expect(outputs.nth(place)).to_contain_text(view.words)
    expect(outputs.last).to_contain_text(f"ingest {HOSTILE}: 30 files")
    for name in ("img", "script", "svg", "iframe", "style"):
        expect(outputs.locator(name)).to_have_count(0)
    expect(outputs.nth(0)).to_contain_text(f"log line {HOSTILE}")
    expect(outputs.nth(1)).to_contain_text(f"{HOSTILE}\\x1b[2J")
    tree = outputs.nth(6)
    for text in (HOSTILE, "not\\xffutf8", "\\u202etxt.exe"):
        expect(tree).to_contain_text(text)


def test_headless_output_is_bounded_and_holds_every_static_form(notebook: nbformat.NotebookNode) -> None:
    for data in bundles(notebook):
        assert {"text/plain", "text/html"} <= set(data) and "\x1b" not in data["text/plain"]
    assert len(nbformat.writes(notebook)) < BOUND
    assert "widgets" not in notebook.metadata


def test_converted_without_scripts(notebook: nbformat.NotebookNode, tmp_path: Path, playwright: Playwright) -> None:
    path = page_of(notebook, tmp_path)
    with without_scripts(playwright, path) as page:
        expect_static_forms(page.locator(".jp-OutputArea-output.jp-RenderedHTML, .jp-RenderedHTML"))
        for folded in page.locator("details:not([open]) > summary").all()[:40]:
            if folded.is_visible():
                folded.click()
        page.screenshot(path=ARTEFACTS / "hosts-static.png", full_page=True)
    assert static_violations(playwright, path, ".jp-RenderedHTML") == []


def test_untrusted_in_jupyterlab(notebook: nbformat.NotebookNode, lab: Lab) -> None:
    # As a file from elsewhere is: with the view's address, whose widget no kernel knows, and unsigned.
    with lab.opened("untrusted", notebook) as opened:
        outputs = opened.page.locator(".jp-OutputArea-output")
        expect_static_forms(outputs)
        assert axe(opened.page, ".jp-RenderedHTML") == []
        opened.picture("static")


def test_papermill_and_a_notebook_saved_with_widget_state(tmp_path: Path, playwright: Playwright) -> None:
    source, result = tmp_path / "in.ipynb", tmp_path / "out.ipynb"
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), source)
    papermill.execute_notebook(source, result, cwd=tmp_path, progress_bar=False, store_widget_state=False)
    without = nbformat.read(result, as_version=4)
    assert "widgets" not in without.metadata and len(bundles(without)) == SHOWN
    assert os.path.getsize(result) < BOUND

    papermill.execute_notebook(source, result, cwd=tmp_path, progress_bar=False)
    saved = nbformat.read(result, as_version=4)
    assert saved.metadata.widgets, "by default, widget state is stored"
    bundles(saved)
    # The remedy that README names, for notebooks that have it.
    path = page_of(saved, tmp_path, config=_without_state())
    with without_scripts(playwright, path) as page:
        expect_static_forms(page.locator(".jp-RenderedHTML"))


def _without_state() -> Any:
    config = HTMLExporter().default_config
    config.ClearMetadataPreprocessor.enabled = True
    return config
