"""Many builds in a real JupyterLab: the table follows, buttons stop one or all, a saved notebook keeps the end."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from support.lab import Lab

pytestmark = pytest.mark.integration
SETUP = """
import os, tempfile
os.environ["TVIXBUILD_NB_STATE"] = tempfile.mkdtemp()
from tvixbuild_nb import build_many, open_castore
from tvixbuild_nb.build import DummyBuildService
from tvixbuild_nb.request import BuildRequest
store = open_castore("memory:")
def script(request, build):
    build.print("log line of <img src=x onerror=window.bad=1>\\n")
    if "slow" in request.command_args:
        build.sleep(600)
    return {} if "bad" in request.command_args else {"s/o": build.castore.ingest_bytes(b"out")}
def requests(*words):
    return [BuildRequest(command_args=["sh", *word.split()], scratch_paths=["s"], outputs=["s/o"]) for word in words]
"""
SHOW = """
many = build_many(
    requests("slow 1", "slow 2", "quick", "bad", "slow 3", "quick"), store=store, jobs=4,
    builder=DummyBuildService(store, script))
many
"""
FAULTS = """
from ipywidgets.widgets.widget import _instances
print([fault for view in _instances.values() for fault in getattr(view, "faults", [])])
"""


def test_the_table_follows_and_stops_one_and_all(lab: Lab) -> None:
    with lab.notebook("many", SETUP, SHOW) as notebook:
        notebook.run_all()
        view = notebook.view("many")
        rows = view.locator("tbody tr")
        expect(rows).to_have_count(5)
        expect(rows.nth(2)).to_contain_text("succeeded")
        expect(rows.nth(2)).to_contain_text("2, 5")
        expect(rows.nth(3)).to_contain_text("missing outputs: s/o")
        expect(rows.nth(4)).to_contain_text("building")
        expect(rows.nth(0)).to_contain_text("log line of <img src=x onerror=window.bad=1>")
        assert notebook.violations("many") == []
        notebook.picture("going-on")
        row = rows.nth(0).evaluate_handle("node => node")
        view.get_by_role("button", name="stop the build of request 0").focus()
        notebook.page.keyboard.press("Enter")
        expect(rows.nth(0)).to_contain_text("cancelled")
        expect(rows.nth(1)).to_contain_text("building")
        assert row.evaluate("node => node.isConnected")
        view.get_by_role("button", name="stop all").click()
        # The display is replaced by its last form, without buttons.
        expect(view).to_have_count(0)
        shown = notebook.page.locator(".jp-RenderedHTMLCommon", has_text="builds: 1 succeeded, 1 failed, 3 cancelled")
        expect(shown).to_be_visible()
        assert notebook.page.evaluate("window.bad") is None
        assert notebook.ask(FAULTS) == "[]"
