"""A page that has to fetch anywidget's front end, as VS Code's and Colab's, where it cannot and where it can."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, expect

from support.lab import Lab, Notebook
from support.views import CELLS, DIFF, FAULTS, HOSTILE, VIEWS

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]
# The kernel takes the page for VS Code's, which is not here; its way to show widgets is JupyterLab's.
KERNEL = "vscode"


def boxes(notebook: Notebook) -> Locator:
    """Run the cells; what they show, one box for each view. Progress is a line when it is over."""
    notebook.run_all()
    expect(notebook.page.get_by_text(f"ingest {HOSTILE}: 30 files")).to_be_visible(timeout=60_000)
    found = notebook.page.locator(".tvixbuild-both")
    expect(found).to_have_count(len(VIEWS))
    return found


def test_the_static_form_stays_where_the_live_one_cannot_be_fetched(bare_lab: Lab) -> None:
    bare_lab.server.add_kernel(KERNEL, VSCODE_PID="1")
    with bare_lab.notebook("fallback", *CELLS, kernel=KERNEL) as notebook:
        found = boxes(notebook)
        for place, view in enumerate(VIEWS):
            box = found.nth(place)
            box.scroll_into_view_if_needed()
            static = box.locator(".tvixbuild-static")
            expect(static).to_be_visible()
            expect(static).to_contain_text(view.words)
            # What the host paints in place of the live form is there, and not seen.
            expect(box.locator("> *")).to_have_count(2)
            expect(box.locator("> *").nth(1)).to_be_hidden()
        expect(found.locator("img, script")).to_have_count(0)
        assert notebook.page.evaluate("window.bad") is None
        notebook.picture("static")


def test_a_form_that_stays_is_there_with_its_live_part_and_without(bare_lab: Lab, lab: Lab) -> None:
    for host, fetched in ((bare_lab, False), (lab, True)):
        host.server.add_kernel(KERNEL, VSCODE_PID="1")
        with host.notebook("stays", DIFF, kernel=KERNEL) as notebook:
            notebook.run_all()
            box = notebook.page.locator(".tvixbuild-both")
            expect(box.locator(".tvixbuild-static")).to_contain_text("+two")
            expect(box.locator("> *")).to_have_count(2)
            live = box.locator("> *").nth(1)
            expect(live).to_be_visible(visible=fetched)
            expect(box.locator(".tvixbuild-static")).to_be_visible()


def test_without_it_such_a_page_shows_an_error(bare_lab: Lab) -> None:
    bare_lab.server.add_kernel("asked", VSCODE_PID="1", TVIXBUILD_NB_VIEWS="live")
    with bare_lab.notebook("asked", *CELLS[:2], kernel="asked") as notebook:
        notebook.run_all()
        expect(notebook.page.get_by_text("Click to show javascript error").first).to_be_visible()
        expect(notebook.page.get_by_text(VIEWS[0].words)).to_have_count(0)


def test_the_live_form_takes_the_place_of_the_static_one(lab: Lab) -> None:
    lab.server.add_kernel(KERNEL, VSCODE_PID="1")
    with lab.notebook("fetched", *CELLS, kernel=KERNEL) as notebook:
        found = boxes(notebook)
        for place, view in enumerate(VIEWS):
            box = found.nth(place)
            box.scroll_into_view_if_needed()
            live = box.locator(f".tvixbuild-{view.name}").first
            expect(live).to_be_visible()
            expect(box.locator(".tvixbuild-static")).to_be_hidden()
            view.act(live)
        notebook.picture("live")
        assert notebook.ask(FAULTS) == "[]"
