"""Isolation in a real JupyterLab: planned, and of a run that was observed."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from support.lab import Lab

pytestmark = pytest.mark.integration
SETUP = """
from tvixbuild_nb import Sandbox, SpecOptions
sb = Sandbox("echo built > /nix/store/out", outputs=["nix/store/out"])
sb.options = SpecOptions.for_host(masked_paths=["/proc/kcore", "/proc/<img src=x onerror=alert(1)>\\u202e"])
sb.isolation()
"""
OBSERVED = """
sb.options = None
run = sb.run(observe=True, show=False)
seen = run.isolation()
seen
"""
FAULTS = """
from ipywidgets.widgets.widget import _instances
print([fault for view in _instances.values() for fault in getattr(view, "faults", ())])
"""


@pytest.mark.usefixtures("root")
def test_planned_and_observed(lab: Lab) -> None:
    with lab.notebook("isolation", SETUP, OBSERVED) as notebook:
        notebook.run_all()
        planned, seen = notebook.view("isolation").first, notebook.view("isolation").nth(1)
        seen.get_by_text("from inside").wait_for()
        assert notebook.ask("print(run.status)") == "succeeded"
        expect(planned).to_contain_text("a new one")
        assert planned.locator("img").count() == 0
        number = notebook.ask("print(seen.namespace('pid').inside)")
        assert number.startswith("pid:[")
        expect(seen).to_contain_text(number)
        expect(seen.locator(".arrow.nobody").first).to_contain_text("65534")
        seen.scroll_into_view_if_needed()
        notebook.picture("observed")
        # By keys: from the filter to a folded part, and open it.
        seen.get_by_label("Filter the tables").focus()
        press = notebook.page.keyboard.press
        press("Tab")
        press("Enter")
        expect(seen.locator("details.part[open]")).to_have_count(6)
        expect(seen.get_by_role("table", name="Capabilities kept").locator("tbody tr")).to_have_count(14)
        expect(seen.get_by_role("table", name="Capabilities dropped").locator("tbody tr")).to_have_count(27)
        expect(seen.get_by_role("table", name="Masked and read-only paths")).to_contain_text("in force")
        notebook.picture("unfolded")
        assert notebook.violations("isolation") == []
        seen.get_by_label("Filter the tables").fill("chown")
        expect(seen.locator(".part tbody tr:visible")).to_have_count(1)
        notebook.picture("filtered")
        # The key x belongs to the filter, not to the notebook's command mode.
        press("x")
        assert notebook.page.locator(".jp-CodeCell").count() == 2
        assert notebook.ask(FAULTS) == "[]"
