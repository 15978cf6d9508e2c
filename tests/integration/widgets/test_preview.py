"""The preview in a real JupyterLab: walked, searched, compared, changed under its eyes."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from support.lab import Lab, axe

pytestmark = pytest.mark.integration
SETUP = r"""
from tvixbuild_nb import Sandbox, SpecOptions
evil = "<img src=x onerror=alert(1)>\x1b[31m\u202eevil"
sb = Sandbox("echo hello", env={"HOME": "/homeless", "EVIL": evil, "TOKEN": "hunter22"}, secrets=["TOKEN"],
             outputs=["nix/store/out"], store="memory:", options=SpecOptions.for_host(hostname="elsewhere"))
other = Sandbox("echo bye", env={"HOME": "/root"}, outputs=["nix/store/out"], store="memory:")
preview = sb.preview()
preview
"""
FAULTS = """
import ipywidgets
print([view.faults for view in ipywidgets.widgets.widget._instances.values() if type(view).__name__ == "PreviewView"])
"""


def test_walk_search_compare_and_change(lab: Lab) -> None:
    with lab.notebook("preview", SETUP) as notebook:
        notebook.run_all()
        view = notebook.view("preview")
        rows = view.get_by_role("treeitem")
        expect(rows.first).to_be_visible()
        expect(view.locator(".badge")).to_have_text("✓ valid")
        # Deviations are marked where they show, with the reason beside.
        rows.filter(has_text="terminal: false").click()
        expect(view.locator(".detail")).to_contain_text("not as Tvix: terminal")
        expect(view.locator(".detail")).to_contain_text("/dev/tty")
        expect(view.locator(".detail a")).to_have_attribute("rel", "noopener noreferrer")
        notebook.picture("terminal")
        # By keys alone.
        page = notebook.page
        page.keyboard.press("Home")
        assert page.evaluate("document.activeElement.getAttribute('aria-level')") == "1"
        for key in ("ArrowDown", "ArrowDown", "ArrowLeft", "ArrowRight", "ArrowRight", "End", "ArrowUp"):
            page.keyboard.press(key)
            page.wait_for_timeout(60)
        expect(view.locator("[aria-selected=true]")).to_have_count(1)
        assert page.evaluate("document.activeElement.getAttribute('role')") == "treeitem"
        assert page.locator(".jp-Cell").count() >= 1, "no key reached the notebook"
        # Search unfolds what hides the match.
        view.get_by_role("searchbox").fill("mode=1777")
        expect(view.locator(".row.found[aria-selected=true]")).to_contain_text("mode=1777")
        expect(view.locator(".bar .dim").first).to_have_text("1 of 2")
        page.keyboard.press("Enter")
        expect(view.locator(".bar .dim").first).to_have_text("2 of 2")
        expect(view.locator(".detail")).to_contain_text("not as Tvix: /tmp")
        # Hostile and secret values.
        view.get_by_role("searchbox").fill("EVIL")
        expect(view.locator("[aria-selected=true]")).to_contain_text(
            r"<img src=x onerror=alert(1)>\u001b[31m\u202eevil"
        )
        assert view.locator("img").count() == 0
        assert "hunter22" not in (view.text_content() or "")
        # Comparisons.
        view.get_by_label("compare with").select_option(label="Tvix's rendering")
        expect(view.locator(".diff caption")).to_contain_text("differences from Tvix's rendering")
        expect(view.locator(".diff")).to_contain_text("asked for in the options")
        notebook.picture("diff")
        assert notebook.violations("preview") == []
        view.get_by_role("button", name="mounts[/tmp].options[mode]").click()
        expect(view.locator("[aria-selected=true]")).to_contain_text("mode=1777")
        view.get_by_label("compare with").select_option(label="runc spec")
        expect(view.locator(".diff caption")).to_contain_text("differences from runc spec")
        view.get_by_label("compare with").select_option(label="other")
        expect(view.locator(".diff")).to_contain_text("HOME=/root")
        view.get_by_label("compare with").select_option(label="the last run")
        expect(view.locator(".tvixbuild-problem")).to_contain_text("run the sandbox first")
        # The sandbox changes; the view follows and says what is new.
        view.get_by_label("compare with").select_option(label="the state before")
        notebook.ask("sb.env['ADDED'] = '1'")
        expect(view.locator(".news")).to_contain_text("process.env[ADDED] (added)")
        expect(view.locator(".row.changed").first).to_be_visible()
        expect(view.locator(".diff")).to_contain_text("process.env[ADDED]")
        notebook.picture("changed")
        notebook.ask("sb.command = ()")
        expect(view.locator(".news")).to_contain_text("cannot be rendered now")
        assert notebook.violations("preview") == []
        notebook.ask("sb.command = ('true',)")
        expect(view.locator(".news")).to_contain_text("process.args[0]")
        view.get_by_role("button", name="Clear marks").click()
        expect(view.locator(".row.changed")).to_have_count(0)
        # A page loaded anew shows what is now.
        saved = notebook.save()
        assert "hunter22" not in str([cell["outputs"] for cell in saved["cells"]])
        notebook.reload()
        expect(view.get_by_role("treeitem").filter(has_text="args").first).to_contain_text("true")
        assert set(notebook.ask(FAULTS)) <= set("[], ")


STATIC = (
    SETUP
    + r"""
from IPython.display import HTML
from tvixbuild_nb.widgets.preview import preview_forms
HTML(str(preview_forms(sb.preview()).html()))
"""
)


def test_the_static_form_folds_without_scripts(lab: Lab) -> None:
    with lab.notebook("previewstatic", STATIC) as notebook:
        notebook.run_all()
        output = notebook.page.locator(".jp-OutputArea-output").first
        output.locator("summary", has_text="process").first.click()
        output.locator("summary", has_text=re.compile("^terminal")).click()
        expect(output.get_by_text("whether the process gets a terminal")).to_be_visible()
        assert output.locator("img").count() == 0
        assert "hunter22" not in (output.text_content() or "")
        notebook.picture("static")
        assert axe(notebook.page, ".jp-OutputArea-output") == []
