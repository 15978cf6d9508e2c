"""A list of runs in a real JupyterLab."""

from __future__ import annotations

import pytest

from support.lab import Lab

pytestmark = pytest.mark.integration
SETUP = """
import os, tempfile
os.environ["TVIXBUILD_NB_STATE"] = tempfile.mkdtemp()
from tvixbuild_nb import Sandbox, open_castore
from tvixbuild_nb.build import DummyBuildService
store = open_castore("memory:")
def script(request, build):
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
        view = notebook.view("history")
        rows = view.locator("tbody th")
        rows.nth(1).wait_for()
        assert rows.count() == 2 and "failed at output" in view.inner_text()
        assert "environment_vars[FAIL]: + <img src=x onerror=window.bad=1>\\x1b[2J\\u202e" in view.inner_text()
        rows.first.locator("button").focus()
        notebook.page.keyboard.press("Enter")
        detail = view.locator(".detail")
        detail.get_by_text("Run.open").wait_for()
        assert "failed at output" in detail.inner_text()
        notebook.ask("del sb.env['FAIL']; run = sb.run(show=False)")
        rows.nth(2).wait_for()
        assert detail.count() == 1, "what was open stays open"
        detail.get_by_text("Run.open").wait_for()
        assert notebook.page.evaluate("document.activeElement.textContent") == rows.nth(1).inner_text()
        notebook.picture("list")
        assert notebook.violations("history") == []
        assert notebook.page.evaluate("window.bad") is None
        assert notebook.ask(FAULTS) == "[]"
        notebook.page.keyboard.press("Enter")
        detail.wait_for(state="detached")
