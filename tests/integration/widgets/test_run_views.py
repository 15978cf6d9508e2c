"""Runs go on whatever happens to their views: closed, doubled, loaded anew, opened elsewhere, cancelled, not heard."""

from __future__ import annotations

import os
import re
import signal

import pytest
from playwright.sync_api import Locator, expect

from support.lab import Lab, Notebook

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]

SETUP = """
import threading
from tvixbuild_nb import Run, Sandbox, open_castore
from tvixbuild_nb.castore import Castore
"""
SLOW = "sb = Sandbox('n=0; while [ $n -lt 200 ]; do n=$((n+1)); echo line $n; done; sleep 1000')"
GATED = """
gate = threading.Event()
class Gated(Castore):
    "Stores nothing before the gate is open."
    def batch(self):
        gate.wait(60)
        return super().batch()
sb = Sandbox("echo > /nix/store/out", outputs=["nix/store/out"], store=Gated(open_castore("memory:")._backend))
"""
FAULTS = """
from ipywidgets.widgets.widget import _instances
print([fault for widget in _instances.values() for fault in getattr(widget, "faults", [])])
"""
ROWS = ".run-log .log-row"


def saved_html(notebook: Notebook, cell: int) -> str:
    """Save; what stands then in a cell's first output for those who have no kernel."""
    data = notebook.save()["cells"][cell]["outputs"][0]["data"]
    return "".join(data.get("text/html", ""))


def expect_whole_log(notebook: Notebook, view: Locator) -> None:
    """The log can be walked to its first line, however far it has gone on meanwhile."""
    region = view.get_by_role("log")
    expect(region).to_contain_text("line ")
    region.focus()
    notebook.page.keyboard.press("Home")
    expect(region.locator(".log-row").first).to_have_text(re.compile(r"^1\D*line 1$"))


def status(view: Locator) -> Locator:
    return view.locator(".run-status")


def test_a_page_loaded_in_mid_run_loses_nothing_and_saves_the_end(lab: Lab) -> None:
    with lab.notebook("watched", SETUP, SLOW, "sb.start()") as notebook:
        notebook.run_all()
        view = notebook.view("run")
        expect(view.locator(".run-log")).to_contain_text("line 200")
        notebook.until(lambda: "was running on" in saved_html(notebook, 2))
        notebook.reload()
        expect(status(view)).to_have_text("running")
        expect_whole_log(notebook, view)
        run = notebook.ask("print(sb.last_run.id)")
        with lab.notebook("elsewhere", SETUP, f"Run.open({run!r})") as other:
            other.run_all()
            there = other.view("run")
            expect(there.locator(".run-why")).to_contain_text("another process")
            expect(there.locator(".run-use")).to_contain_text("its cgroup")
            expect(there.locator(".run-cancel")).to_be_hidden()
            expect_whole_log(other, there)
            # No cell runs here, and the keyboard alone is enough; twice is as good as once.
            view.locator(".run-cancel").focus()
            notebook.page.keyboard.press("Enter")
            notebook.page.keyboard.press("Enter")
            expect(status(view)).to_have_text("cancelled")
            expect(status(there)).to_have_text("cancelled")
            other.picture("cancelled")
            assert other.ask(FAULTS) == "[]"
        assert notebook.ask("print(sb.last_run.status)") == "cancelled" and notebook.ask(FAULTS) == "[]"
        notebook.until(lambda: "cancelled" in saved_html(notebook, 2) and "was running" not in saved_html(notebook, 2))


def test_the_log_stays_where_it_is_when_the_run_ends(lab: Lab) -> None:
    with lab.notebook("steady", SETUP, SLOW, "sb.start()") as notebook:
        notebook.run_all()
        view = notebook.view("run")
        expect_whole_log(notebook, view)
        for _ in range(30):
            notebook.page.keyboard.press("ArrowDown")
        first = view.locator(ROWS).first
        expect(first).to_have_text(re.compile(r"line 31$"))
        view.locator(".run-log input").first.fill("line of none")
        expect(view.locator(".log-matches")).to_have_text("no match")
        view.get_by_role("log").focus()
        notebook.ask("sb.last_run.cancel()")
        expect(status(view)).to_have_text("cancelled")
        # The display has been replaced by its last form when that is what would be saved.
        notebook.until(lambda: "was running" not in saved_html(notebook, 2))
        expect(first).to_have_text(re.compile(r"line 31$"))
        expect(view).to_have_count(1)
        expect(view.locator(".run-log input").first).to_have_value("line of none")
        expect(view.get_by_role("log")).to_be_focused()
        notebook.page.keyboard.press("ArrowDown")
        expect(first).to_have_text(re.compile(r"line 32$"))
        assert notebook.ask(FAULTS) == "[]"


def test_views_are_closed_and_doubled_and_the_run_goes_on(lab: Lab) -> None:
    with lab.notebook("doubled", SETUP, SLOW, "run = sb.start()\nrun", "run") as notebook:
        notebook.run_all()
        views = notebook.view("run")
        expect(views).to_have_count(2)
        for number in (0, 1):
            expect_whole_log(notebook, views.nth(number))
            expect(views.nth(number).locator(".run-use")).to_contain_text("CPU")
        notebook.page.evaluate("window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
        expect(views).to_have_count(0)
        assert notebook.ask("print(run.status)") == "running"
        notebook.page.evaluate("window.jupyterapp.commands.execute('notebook:run-cell')")
        expect(views).to_have_count(1)
        expect_whole_log(notebook, views.first)
        views.first.locator(".run-cancel").click()
        expect(status(views.first)).to_have_text("cancelled")
        assert notebook.ask("print(run.status)") == "cancelled" and notebook.ask(FAULTS) == "[]"


def test_cancel_while_outputs_are_stored(lab: Lab) -> None:
    with lab.notebook("storing", SETUP, GATED, "sb.start()") as notebook:
        notebook.run_all()
        view = notebook.view("run")
        expect(view.locator("[aria-current=step]")).to_have_text(re.compile("ingest"))
        view.locator(".run-cancel").click()
        expect(view.locator(".run-why")).to_contain_text("as soon as what is being stored now is stored")
        expect(status(view)).to_have_text("cancelling")
        notebook.ask("gate.set()")
        expect(status(view)).to_have_text("cancelled")
        assert notebook.ask("print(dict(sb.last_run.outputs))") == "{}" and notebook.ask(FAULTS) == "[]"


def test_a_kernel_that_does_not_hear(lab: Lab) -> None:
    with lab.notebook("deaf", SETUP, SLOW, "sb.start()") as notebook:
        notebook.run_all()
        view = notebook.view("run")
        expect(view.locator(".run-log")).to_contain_text("line 200")
        kernel = int(notebook.ask("import os; print(os.getpid())"))
        os.kill(kernel, signal.SIGSTOP)
        try:
            clock = view.locator(".run-clock")
            before = clock.inner_text()
            notebook.until(lambda: clock.inner_text() != before)
            view.locator(".run-cancel").click()
            expect(view.locator(".run-why")).to_contain_text("the notebook's stop button ends the run now")
        finally:
            os.kill(kernel, signal.SIGCONT)
        expect(status(view)).to_have_text("cancelled")
        expect(view.locator(".run-why")).to_be_empty()
        assert notebook.ask(FAULTS) == "[]"
