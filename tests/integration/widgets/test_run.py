"""Runs in a real JupyterLab: live, cancelled, interrupted, reloaded, opened elsewhere; secrets stay away."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect

from support.lab import Lab, Notebook

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]

SECRET = "hunter2-hunter2"
SETUP = "from tvixbuild_nb import Run, Sandbox"
WORKS = """
sb = Sandbox('''echo "the token is $TOKEN"; echo "<img src=x onerror=alert(1)>" >&2; mkdir -p /nix/store/out
echo refers to needle-one > /nix/store/out/file; sleep 1''',
    outputs=["nix/store/out"], env={"TOKEN": TOKEN}, secrets=["TOKEN"], refscan_needles=["needle-one"])
sb.run()
"""
FAILS = """
Sandbox("echo going; echo found it $TOKEN; exit 137", outputs=["nix/store/out"], env={"TOKEN": TOKEN},
    secrets=["TOKEN"]).run()
"""
SLOW = "sb = Sandbox('n=0; while true; do n=$((n+1)); echo line $n; sleep 0.2; done')"
# Everything a widget's handlers met.
FAULTS = """
from ipywidgets.widgets.widget import _instances
print([fault for widget in _instances.values() for fault in getattr(widget, "faults", [])])
"""


def html(notebook: Notebook) -> str:
    text: str = notebook.page.content()
    return text


def test_a_run_from_its_start_to_the_saved_notebook(lab: Lab) -> None:
    with lab.notebook("run", SETUP, WORKS, FAILS) as notebook:
        notebook.ask(f"TOKEN = {SECRET!r}")
        notebook.run_all(wait=False)
        views = notebook.view("run")
        expect(views.first.locator("[aria-current=step]")).to_have_text(re.compile("run"))
        expect(views.first.locator(".run-cancel")).to_be_visible()
        notebook.picture("going")
        expect(views).to_have_count(2)
        first, second = views.nth(0), views.nth(1)
        expect(first.locator(".run-status")).to_have_text(re.compile("succeeded in"))
        expect(first.locator(".run-cancel")).to_be_hidden()
        expect(first.locator(".run-stage.run-done")).to_have_count(9)
        expect(first.locator(".run-outputs tbody tr")).to_contain_text("needle-one")
        expect(first.locator(".run-log")).to_contain_text("the token is [secret TOKEN]")
        expect(first.locator(".run-log")).to_contain_text("<img src=x onerror=alert(1)>")
        expect(second.locator(".run-status")).to_have_text("failed at build")
        expect(second.locator(".run-end")).to_contain_text("SIGKILL")
        notebook.await_kernel()
        notebook.page.wait_for_timeout(500)
        # Twice the view is the cells' last word; their results are one line each.
        assert views.count() == 2 and notebook.page.locator("text=/^run .* succeeded in/").count() == 1
        notebook.picture("over")
        assert notebook.violations("run") == []
        assert SECRET not in html(notebook) and notebook.ask(FAULTS) == "[]"
        saved = notebook.save()
        text = json.dumps(saved)
        assert SECRET not in text and "[secret TOKEN]" in text
        shown = ["".join(output["data"].get("text/html", "")) for output in saved["cells"][1]["outputs"]]
        assert "succeeded in" in shown[0] and "running" not in shown[0]


def expect_whole_log(notebook: Notebook) -> None:
    """The log can be walked to its first line, however far it has gone on meanwhile."""
    region = notebook.view("run").get_by_role("log")
    expect(region).to_contain_text("line ")
    region.focus()
    notebook.page.keyboard.press("Home")
    expect(region.locator(".log-row").first).to_have_text(re.compile(r"^1\D*line 1$"))


def test_a_run_goes_on_whatever_happens_to_its_views(light_lab: Lab) -> None:
    lab = light_lab
    with lab.notebook("watched", SETUP, SLOW, "sb.start()") as notebook:
        notebook.run_all()
        view = notebook.view("run")
        expect(view.locator(".run-log")).to_contain_text("line ")
        notebook.save()
        notebook.reload()
        expect(view.locator(".run-status")).to_have_text("running")
        expect_whole_log(notebook)
        run = notebook.ask("print(sb.last_run.id)")
        with lab.notebook("elsewhere", SETUP, f"Run.open({run!r})") as other:
            other.run_all()
            there = other.view("run")
            expect(there.locator(".run-why")).to_contain_text("another process")
            expect_whole_log(other)
            assert there.locator(".run-cancel").is_hidden() and notebook.ask("print(sb.last_run.status)") == "running"
            # No cell runs here, and the keyboard alone is enough.
            view.locator(".run-cancel").focus()
            notebook.page.keyboard.press("Enter")
            expect(view.locator(".run-status")).to_have_text("cancelled")
            expect(there.locator(".run-status")).to_have_text("cancelled")
            other.picture("cancelled")
            assert other.ask(FAULTS) == "[]"
        assert notebook.ask("print(sb.last_run.status)") == "cancelled" and notebook.ask(FAULTS) == "[]"


def test_the_stop_button_ends_the_run_that_a_cell_waits_for(light_lab: Lab) -> None:
    with light_lab.notebook("stopped", SETUP, SLOW, "run = sb.run()", "print('went on after', run.status)") as notebook:
        notebook.run_all(wait=False)
        view = notebook.view("run")
        expect(view.locator(".run-log")).to_contain_text("line ")
        notebook.page.evaluate("void window.jupyterapp.commands.execute('notebook:interrupt-kernel')")
        expect(view.locator(".run-status")).to_have_text("cancelled")
        expect(notebook.page.locator("text=went on after cancelled")).to_be_visible()
        assert notebook.ask(FAULTS) == "[]"
