"""A list of runs in a real JupyterLab."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from support.lab import Lab

pytestmark = pytest.mark.integration
SETUP = """
import os, tempfile
os.environ["TVIXBUILD_NB_STATE"] = tempfile.mkdtemp()
from tvixbuild_nb import Sandbox, open_castore
from tvixbuild_nb.build import DummyBuildService
store = open_castore("memory:")
def script(request, build):
    build.print(b"hello from the build\\n")
    return {} if "FAIL" in request.environment_vars else {"nix/store/x": build.castore.ingest_bytes(b"out")}
sb = Sandbox("true", outputs=["nix/store/x"], store=store, builder=DummyBuildService(store, script))
sb.run(show=False)
sb.env["FAIL"] = "<img src=x onerror=window.bad=1>\\x1b[2J\\u202e"
sb.run(show=False)
sb.history()
"""
FAULTS = """
from ipywidgets.widgets.widget import _instances
print([fault for view in _instances.values() for fault in getattr(view, "faults", [])])
"""


def test_rows_open_by_keyboard_and_grow_with_the_runs(lab: Lab) -> None:
    with lab.notebook("history", SETUP) as notebook:
        notebook.run_all()
        view, keys = notebook.view("history"), notebook.page.keyboard
        rows = view.locator("th[scope=row] > button.mono")
        expect(rows).to_have_count(2)
        expect(view).to_contain_text("failed at output")
        expect(view).to_contain_text("environment_vars[FAIL]: + <img src=x onerror=window.bad=1>\\x1b[2J\\u202e")
        rows.first.focus()
        keys.press("Enter")
        detail = view.locator("td.detail:visible")
        expect(detail).to_contain_text("Run.open")
        # The run's own view: its stages, its verdict, its log.
        run = detail.locator(".tvixbuild-run")
        expect(run).to_contain_text("failed at output")
        expect(run.get_by_label("stages").locator("li")).not_to_have_count(0)
        expect(run.get_by_text("hello from the build")).to_be_visible()
        opened = rows.first.inner_text()
        run.evaluate("node => { node.dataset.mark = 'the same' }")

        notebook.ask("del sb.env['FAIL']; run = sb.run(show=False)")
        expect(rows).to_have_count(3)
        expect(detail).to_have_count(1)
        expect(run).to_have_attribute("data-mark", "the same")
        assert rows.nth(1).inner_text() == opened
        expect(rows.nth(1)).to_be_focused()
        notebook.picture("list")
        assert notebook.violations("history") == []
        assert notebook.page.evaluate("window.bad") is None

        keys.press("Enter")
        expect(detail).to_have_count(0)
        expect(view.locator(".tvixbuild-run")).to_have_count(0)
        keys.press("Enter")
        expect(detail.locator(".tvixbuild-run")).to_contain_text("failed at output")
        notebook.save()
        notebook.reload()
        expect(rows).to_have_count(3)
        rows.nth(0).click()
        expect(view.locator(".tvixbuild-run")).to_contain_text("succeeded")
        notebook.page.set_viewport_size({"width": 900, "height": 900})
        notebook.picture("narrow")
        notebook.page.set_viewport_size({"width": 1280, "height": 900})
        assert notebook.ask(FAULTS) == "[]"
