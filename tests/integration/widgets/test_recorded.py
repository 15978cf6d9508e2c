"""Recorded runs in a real JupyterLab, and on a page without scripts: every view says when and where it was recorded."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Playwright, expect

from support.lab import Lab
from support.static import converted, without_scripts

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]
ARTEFACTS = Path(__file__).parents[3] / "test-artefacts"
SETUP = """
import tempfile
from tvixbuild_nb import Run, Sandbox, open_castore
sb = Sandbox("tr a-z A-Z < /nix/store/src > /nix/store/out; echo said", outputs=["nix/store/out"])
sb.add_input("src", b"source")
path = tempfile.mkdtemp() + "/x.tvixrun"
made = sb.run(show=False, observe=True)
made.save(path, outputs=True)
run = Run.load(path)
"""
VIEWS = {
    "run": "run",
    "log": "run.log",
    "tree": 'run.outputs["nix/store/out"]',
    "mounts": "run.mount_table()",
    "isolation": "run.isolation()",
}
# What was saved without contents, and what replay: gives.
MORE = """
import os
again = Sandbox.from_request(sb.request, builder=f"replay:{os.path.dirname(path)}", store=open_castore("memory:"))
again.run()
"""


def test_every_live_view_says_so(lab: Lab) -> None:
    with lab.notebook("recorded", SETUP, *VIEWS.values(), 'run.inputs["src"]', MORE) as notebook:
        notebook.run_all()
        said = notebook.ask("print(run.recorded)")
        assert said.startswith("recorded 20") and "runc" in said
        for name in VIEWS:
            view = notebook.view(name).first
            expect(view.get_by_text(said).first).to_be_visible()
        expect(notebook.view("run").first.get_by_text("said", exact=True)).to_be_visible()
        expect(notebook.view("run").first.get_by_role("button", name="Cancel")).to_be_hidden()
        expect(notebook.view("run").nth(1).get_by_text(said)).to_be_visible()
        # The host's side is the recorded one.
        number = notebook.ask("print(made.isolation().namespace('pid').host)")
        expect(notebook.view("isolation").first).to_contain_text(number)
        notebook.picture("recorded")


def test_every_static_form_says_so(playwright: Playwright, tmp_path: Path) -> None:
    ARTEFACTS.mkdir(exist_ok=True)
    cells = [SETUP + value for value in VIEWS.values()]
    path = converted(tmp_path, *cells, 'run.inputs["src"]')
    with without_scripts(playwright, path) as page:
        expect(page.get_by_text("recorded 20")).to_have_count(6)
        expect(page.get_by_text("its contents were not saved in the record").first).to_be_visible()
        page.screenshot(path=ARTEFACTS / "recorded-static.png", full_page=True)
