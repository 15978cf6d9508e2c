"""Every kind of view, live in Jupyter Notebook 7, in a page that Voilà serves, and on the last ipykernel 6."""

from __future__ import annotations

import contextlib
import json
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect

from support.lab import Lab, axe, notebook_json
from support.views import CELLS, DIFF, FAULTS, SETUP, VIEWS

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]
OLDER = Path(sys.prefix) / "older-kernel"
SLOW = "slow = Sandbox('n=0; while true; do n=$((n+1)); echo line $n; sleep 0.2; done')"
SECONDS = 60.0
# Voila's page asks for these whatever it shows. It and Notebook say errors of their own on the console.
DECORATION = ("/npm/@fortawesome/", "/libs/mathjax/")


@contextlib.contextmanager
def page_of(lab: Lab) -> Iterator[Page]:
    """A new page; at the end nothing of ours went wrong in it, and only its host's own decoration was asked for."""
    page = lab.context.new_page()
    told: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error":
            told.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: told.append(f"{error} {error.stack}"))
    try:
        yield page
        assert [text for text in told if any(ours in text for ours in ("anywidget", "tvixbuild"))] == []
        assert [url for url in lab.strangers if not any(own in url for own in DECORATION)] == []
    finally:
        page.screenshot(path=lab.pictures / f"hosts-{lab.server.application.module}-live.png")
        page.close()


def expect_live(page: Page) -> None:
    """Every view paints, answers to an action, and is usable by everybody."""
    for view in VIEWS:
        shown = page.locator(f".tvixbuild-{view.name}").first
        expect(shown).to_be_attached(timeout=SECONDS * 1000)
        shown.scroll_into_view_if_needed()
        expect(shown).to_be_visible()
        view.act(shown)
    assert [axe(page, f".tvixbuild-{view.name}") for view in VIEWS] == [[] for _ in VIEWS]
    assert page.evaluate("window.bad") is None


def await_kernel(page: Page, lab: Lab, path: str) -> None:
    """Wait until the kernel of the notebook ``path`` is idle and a page is connected to it."""
    deadline = time.monotonic() + SECONDS
    while True:
        with urllib.request.urlopen(f"{lab.server.address}/api/sessions", timeout=10) as answer:
            kernels = [session["kernel"] for session in json.load(answer) if session["path"] == path]
        if [(kernel["execution_state"], kernel["connections"]) for kernel in kernels] == [("idle", 1)]:
            return
        assert time.monotonic() < deadline, kernels
        page.wait_for_timeout(100)


def test_in_notebook_7(notebook7: Lab) -> None:
    (notebook7.server.notebooks / "live.ipynb").write_text(json.dumps(notebook_json((*CELLS, FAULTS))))
    with page_of(notebook7) as page:
        page.goto(f"{notebook7.server.address}/{notebook7.server.application.page.format('live.ipynb')}")
        await_kernel(page, notebook7, "live.ipynb")
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        expect_live(page)
        # Once more, by keys: after what was done to the views.
        last = page.locator(".jp-CodeCell").last
        last.locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
        expect(last.locator(".jp-InputArea-prompt")).to_have_text(f"[{len(CELLS) + 2}]:")
        expect(last.locator(".jp-OutputArea-output")).to_have_text("[]")


def test_in_voila(notebook7: Lab) -> None:
    (notebook7.server.notebooks / "page.ipynb").write_text(json.dumps(notebook_json(CELLS)))
    with page_of(notebook7) as page:
        page.goto(f"{notebook7.server.address}/voila/render/page.ipynb", timeout=SECONDS * 1000)
        expect_live(page)


@pytest.fixture(scope="module")
def older(lab: Lab) -> Lab:
    """JupyterLab with a kernel ``older`` to choose: ipykernel 6.31."""
    assert OLDER.is_dir(), "the older kernel is missing: run .ci/setup test"
    lab.server.add_kernel("older", PYTHONPATH=str(OLDER))
    return lab


def test_views_on_the_last_ipykernel_6(older: Lab) -> None:
    shown = [view for view in VIEWS if view.name in ("run", "form", "tree")]
    with older.notebook("older", SETUP, *(view.cell for view in shown), kernel="older") as notebook:
        assert notebook.ask("import ipykernel; print(ipykernel.__version__)").startswith("6.31")
        notebook.run_all()
        for view in shown:
            view.act(notebook.view(view.name).first)
        assert notebook.ask(FAULTS) == "[]"


def test_trees_below_a_form_open_on_the_last_ipykernel_6(older: Lab) -> None:
    with older.notebook("older-below", DIFF, kernel="older") as notebook:
        notebook.run_all()
        notebook.view("below").locator("summary").click()
        tree = notebook.view("tree")
        tree.locator(".space .name").first.click()
        expect(tree.locator(".pane")).to_contain_text("+two")
        assert notebook.ask(FAULTS) == "[]"


def test_the_stop_button_on_the_last_ipykernel_6(older: Lab) -> None:
    with older.notebook("older-stop", SETUP, SLOW, "slow.run()", kernel="older") as notebook:
        notebook.run_all(wait=False)
        run = notebook.view("run")
        expect(run.locator(".run-log")).to_contain_text("line ")
        notebook.page.evaluate("void window.jupyterapp.commands.execute('notebook:interrupt-kernel')")
        expect(run.locator(".run-status")).to_have_text("cancelled")
        notebook.await_kernel()
        assert notebook.ask("print(slow.last_run.status)") == "cancelled" and notebook.ask(FAULTS) == "[]"


def test_cancel_on_the_last_ipykernel_6(older: Lab) -> None:
    with older.notebook("older-cancel", SETUP, SLOW, "slow.start()", kernel="older") as notebook:
        notebook.run_all(wait=False)
        run = notebook.view("run")
        expect(run.locator(".run-log")).to_contain_text("line ")
        run.locator(".run-cancel").click()
        expect(run.locator(".run-status")).to_have_text("cancelled")
        assert notebook.ask("print(slow.last_run.status)") == "cancelled" and notebook.ask(FAULTS) == "[]"
