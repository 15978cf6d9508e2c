"""Runs in a real JupyterLab, from the start to the verdict: a cell waits for each; secrets stay away."""

from __future__ import annotations

import json
import re
from importlib.metadata import version

import pytest
from playwright.sync_api import Locator, expect

from support.lab import Lab, Notebook

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]

SECRET = "hunter2-hunter2"
SETUP = """
from tvixbuild_nb import Sandbox, SpecOptions
from tvixbuild_nb.oci import Limits
"""
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
ENDS = {
    """Sandbox("sh -c 'kill -SEGV $$'; exit $?").run(keep='never')""": ("failed at build", "ended by SIGSEGV"),
    "Sandbox('sleep 60').run(timeout=0.5, keep='never')": ("timed-out", "0.5 s"),
    "Sandbox('head -c 200000000 /dev/zero | tail -c 150000000', options=SpecOptions.for_host("
    "limits=Limits(memory=32 << 20))).run(keep='never')": ("failed at build", "ended for lack of memory"),
    "Sandbox(['/nowhere/to/be/found']).run(keep='never')": ("failed at exec", "could not be started"),
    "Sandbox('true', working_dir='dev/null').run(keep='never')": ("failed at setup", "the command never ran"),
    "Sandbox('echo > /nix/store/else', outputs=['nix/store/out']).run(keep='never')": (
        "failed at output",
        "nix/store/else",
    ),
}
# Everything a widget's handlers met.
FAULTS = """
from ipywidgets.widgets.widget import _instances
print([fault for widget in _instances.values() for fault in getattr(widget, "faults", [])])
"""
# ipykernel 7 hears the page while a cell waits, 6 when the cell is done.
HEARS = int(version("ipykernel").split(".")[0]) >= 7


def html(notebook: Notebook) -> str:
    text: str = notebook.page.content()
    return text


def saved_html(notebook: Notebook, cell: int) -> str:
    """Save; what stands then in a cell's first output for those who have no kernel."""
    data = notebook.save()["cells"][cell]["outputs"][0]["data"]
    return "".join(data.get("text/html", ""))


def text_changes(notebook: Notebook, part: Locator) -> None:
    before = part.inner_text()
    notebook.until(lambda: part.inner_text() != before)


def test_a_run_from_its_start_to_the_saved_notebook(lab: Lab) -> None:
    with lab.notebook("run", SETUP, WORKS, FAILS) as notebook:
        notebook.ask(f"TOKEN = {SECRET!r}")
        notebook.run_all(wait=False)
        views = notebook.view("run")
        first, second = views.nth(0), views.nth(1)
        expect(first.locator(".run-status")).to_have_text(re.compile("succeeded in"))
        expect(first.locator(".run-cancel")).to_be_hidden()
        expect(first.locator(".run-stage.run-done")).to_have_count(9)
        expect(first.locator(".run-outputs tbody tr")).to_contain_text(re.compile("directory.*needle-one"))
        expect(first.locator(".run-outputs button")).to_have_attribute("title", re.compile("copy [0-9a-f]{64}"))
        expect(first.locator(".run-log")).to_contain_text("the token is [secret TOKEN]")
        expect(first.locator(".run-log")).to_contain_text("<img src=x onerror=alert(1)>")
        expect(second.locator(".run-status")).to_have_text("failed at build")
        expect(second.locator(".run-end")).to_contain_text("SIGKILL")
        notebook.await_kernel()
        # Twice the view is the cells' last word; their results are one line each.
        expect(notebook.page.locator("text=/^run .* succeeded in/")).to_have_count(1)
        expect(notebook.page.locator("text=/^run .* failed at build/")).to_have_count(1)
        expect(views).to_have_count(2)
        notebook.picture("over")
        assert notebook.violations("run") == []
        assert SECRET not in html(notebook) and notebook.ask(FAULTS) == "[]"
        notebook.until(lambda: "succeeded in" in saved_html(notebook, 1))
        text = json.dumps(notebook.save())
        assert SECRET not in text and "[secret TOKEN]" in text and "was running" not in text


def test_a_cell_that_waits_and_its_view_do_not_freeze_each_other(lab: Lab) -> None:
    with lab.notebook("waiting", SETUP, SLOW, "run = sb.run()", "print('went on after', run.status)") as notebook:
        notebook.run_all(wait=False)
        view = notebook.view("run")
        expect(view.locator("[aria-current=step]")).to_have_text(re.compile("run"))
        expect(view.locator(".run-use")).to_contain_text(re.compile(r"CPU .*memory .*processes \d"))
        text_changes(notebook, view.locator(".run-clock"))
        text_changes(notebook, view.locator(".run-use"))
        text_changes(notebook, view.locator(".log-row").last)
        expect(notebook.page.locator("text=went on after cancelled")).to_have_count(0)
        notebook.picture("going")
        view.locator(".run-cancel").click()
        if HEARS:
            expect(view.locator(".run-status")).to_have_text("cancelled")
        else:
            expect(view.locator(".run-why")).to_contain_text("the notebook's stop button ends the run now")
            notebook.page.evaluate("void window.jupyterapp.commands.execute('notebook:interrupt-kernel')")
            expect(view.locator(".run-status")).to_have_text("cancelled")
        expect(notebook.page.locator("text=went on after cancelled")).to_be_visible()
        assert notebook.ask(FAULTS) == "[]"


def test_every_end_is_explained(lab: Lab) -> None:
    with lab.notebook("ends", SETUP, *ENDS) as notebook:
        notebook.page.set_viewport_size({"width": 900, "height": 900})
        notebook.run_all(wait=False)
        views = notebook.view("run")
        for number, (status, said) in enumerate(ENDS.values()):
            view = views.nth(number)
            expect(view.locator(".run-status")).to_have_text(status)
            expect(view.locator(".run-verdict")).to_contain_text(said)
            view.scroll_into_view_if_needed()
            notebook.picture(f"{number}")
        assert notebook.ask(FAULTS) == "[]"


def test_the_stop_button_ends_the_run_that_a_cell_waits_for(lab: Lab) -> None:
    with lab.notebook("stopped", SETUP, SLOW, "run = sb.run()", "print('went on after', run.status)") as notebook:
        notebook.run_all(wait=False)
        view = notebook.view("run")
        expect(view.locator(".run-log")).to_contain_text("line ")
        notebook.page.evaluate("void window.jupyterapp.commands.execute('notebook:interrupt-kernel')")
        expect(view.locator(".run-status")).to_have_text("cancelled")
        expect(notebook.page.locator("text=went on after cancelled")).to_be_visible()
        assert notebook.ask(FAULTS) == "[]"
