"""The preview in a real JupyterLab: walked, searched, compared, changed under its eyes."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Locator, expect

from support.lab import Lab, Notebook, axe

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
views = [view for view in ipywidgets.widgets.widget._instances.values() if type(view).__name__ == "PreviewView"]
print(sum((view.faults for view in views), []))
"""
DISPLAYED = """
import ipywidgets
views = [view for view in ipywidgets.widgets.widget._instances.values() if type(view).__name__ == "PreviewView"]
print(len(views), sum(len(view._displayed) for view in views), sum(view._cancel is not None for view in views))
"""


def focused(view: Locator) -> Locator:
    return view.locator("[role=treeitem]:focus")


def test_walk_search_and_copy(lab: Lab) -> None:
    lab.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=lab.server.address)
    with lab.notebook("preview", SETUP) as notebook:
        notebook.run_all()
        view = notebook.view("preview")
        rows = view.get_by_role("treeitem")
        expect(rows.first).to_be_visible()
        expect(view.locator(".badge")).to_have_text("✓ valid")
        expect(view.locator(".about")).to_contain_text("published schema")
        # Deviations are marked where they show, with the reason beside; all four parts of an explanation.
        rows.filter(has_text="terminal: false").click()
        detail = view.get_by_role("group", name="the chosen part")
        expect(detail).to_contain_text("not as Tvix: terminal")
        expect(detail).to_contain_text("/dev/tty")
        expect(detail).to_contain_text("whether the process gets a terminal")
        expect(detail.locator("dt")).to_have_text(["asked for by", "specified in", "without it"])
        expect(detail.locator("dd").last).not_to_be_empty()
        expect(detail.locator("a")).to_have_attribute("rel", "noopener noreferrer")
        expect(detail.locator("a")).to_have_attribute("href", re.compile(r"runtime-spec/blob/v[\d.]+/config\.md#"))
        notebook.picture("terminal")
        _walk_by_keys(notebook)
        # Search unfolds what hides the match.
        view.get_by_role("searchbox").fill("mode=1777")
        expect(view.locator(".row.found[aria-selected=true]")).to_contain_text("mode=1777")
        count = view.locator(".bar").get_by_role("status").first
        expect(count).to_have_text("1 of 2")
        notebook.page.keyboard.press("Enter")
        expect(count).to_have_text("2 of 2")
        expect(detail).to_contain_text("not as Tvix: /tmp")
        view.get_by_role("button", name="previous match").click()
        expect(count).to_have_text("1 of 2")
        # Hostile and secret values.
        view.get_by_role("searchbox").fill("EVIL")
        expect(view.locator("[aria-selected=true]")).to_contain_text(
            r"<img src=x onerror=alert(1)>\u001b[31m\u202eevil"
        )
        expect(view.locator("img")).to_have_count(0)
        view.get_by_role("button", name="Unfold all").click()
        expect(rows.filter(has_text="TOKEN=")).to_have_count(1)
        expect(view).not_to_contain_text("hunter22")
        expect(rows).to_have_count(int(notebook.ask("print(len(list(preview.explained())))")))
        _copies(notebook)
        view.get_by_role("button", name="Fold all", exact=True).click()
        expect(view.locator("[role=treeitem][aria-level='3']")).to_have_count(0)
        expect(rows.filter(has_text="mounts").first).to_have_attribute("aria-expanded", "false")
        assert notebook.violations("preview") == []
        assert notebook.ask(FAULTS) == "[]"


def _walk_by_keys(notebook: Notebook) -> None:
    view, press = notebook.view("preview"), notebook.page.keyboard.press
    cells = notebook.page.locator(".jp-Cell").count()
    for key, there in (
        ("Home", "config.json"), ("ArrowDown", "ociVersion"), ("ArrowDown", "root"), ("ArrowLeft", "root"),
    ):  # fmt: skip
        press(key)
        expect(focused(view)).to_contain_text(there)
    expect(focused(view)).to_have_attribute("aria-expanded", "false")
    press("ArrowRight")
    expect(focused(view)).to_have_attribute("aria-expanded", "true")
    press("ArrowRight")
    expect(focused(view)).to_contain_text("path")
    press("ArrowLeft")
    expect(focused(view)).to_contain_text("root")
    press("End")
    expect(focused(view)).to_have_attribute("aria-level", re.compile("[23]"))
    press("x")
    expect(view.locator("[aria-selected=true]")).to_have_count(1)
    assert notebook.page.locator(".jp-Cell").count() == cells, "no key reached the notebook"


def _copies(notebook: Notebook) -> None:
    """The buttons put JSON into the clipboard: of the whole, of one part; and its path."""
    view, page = notebook.view("preview"), notebook.page
    said = view.get_by_role("status").filter(has_text="copied")

    def clipboard() -> str:
        text: str = page.evaluate("navigator.clipboard.readText()")
        return text

    config = json.loads(notebook.ask("import json; print(json.dumps(preview.config))"))
    view.get_by_role("button", name="Copy JSON", exact=True).click()
    expect(said).to_be_visible()
    assert json.loads(clipboard()) == config
    view.get_by_role("treeitem").filter(has_text="rlimits").first.click()
    expect(view.locator(".detail .path")).to_have_text("/process/rlimits")
    view.get_by_role("button", name="Copy JSON of this part").click()
    notebook.until(lambda: clipboard() != "" and json.loads(clipboard()) == config["process"]["rlimits"])
    view.get_by_role("button", name="Copy path").click()
    notebook.until(lambda: clipboard() == "/process/rlimits")


def test_compare_and_change(lab: Lab) -> None:
    with lab.notebook("previewchanges", SETUP) as notebook:
        notebook.run_all()
        view = notebook.view("preview")
        rows = view.get_by_role("treeitem")
        expect(rows.first).to_be_visible()
        against = view.get_by_label("compare with")
        against.select_option(label="Tvix's rendering")
        expect(view.locator(".diff caption")).to_contain_text("differences from Tvix's rendering")
        expect(view.locator(".diff")).to_contain_text("asked for in the options")
        notebook.picture("diff")
        assert notebook.violations("preview") == []
        view.get_by_role("button", name="mounts[/tmp].options[mode]").click()
        expect(view.locator("[aria-selected=true]")).to_contain_text("mode=1777")
        against.select_option(label="runc spec")
        expect(view.locator(".diff caption")).to_contain_text("differences from runc spec")
        against.select_option(label="other")
        expect(view.locator(".diff")).to_contain_text("HOME=/root")
        against.select_option(label="the last run")
        expect(view.locator(".tvixbuild-problem")).to_contain_text("run the sandbox first")
        # The sandbox changes; the view follows and says what is new and what is gone.
        against.select_option(label="the state before")
        notebook.ask("sb.env['ADDED'] = '1'; del sb.env['HOME']")
        news = view.locator(".news")
        expect(news).to_contain_text("process.env[ADDED] (added), process.env[HOME] (removed)")
        expect(view.locator(".diff")).to_contain_text("process.env[ADDED]")
        env = rows.filter(has_text=re.compile(r"^.?env"))
        expect(env).to_contain_text("changed")
        env.dblclick()
        expect(rows.filter(has_text="ADDED=1")).to_contain_text("changed")
        gone = rows.filter(has_text="HOME=/homeless")
        expect(gone).to_contain_text("removed")
        gone.click()
        expect(view.locator(".detail .path")).to_contain_text("(removed)")
        expect(view.locator(".detail")).to_contain_text("environment_vars['HOME']")
        notebook.picture("changed")
        notebook.ask("sb.command = ()")
        expect(news).to_contain_text("cannot be rendered now")
        assert notebook.violations("preview") == []
        notebook.ask("sb.command = ('true',)")
        expect(news).to_contain_text("process.args[0]")
        view.get_by_role("button", name="Clear marks").click()
        expect(view.locator(".row.changed, .row.removed")).to_have_count(0)
        # A page loaded anew shows what is now, and the view of the page that is gone is forgotten.
        saved = notebook.save()
        assert "hunter22" not in str([cell["outputs"] for cell in saved["cells"]])
        notebook.reload()
        expect(rows.filter(has_text="args").first).to_contain_text("true")
        notebook.until(lambda: notebook.ask(DISPLAYED) == "1 1 1")
        notebook.page.set_viewport_size({"width": 900, "height": 900})
        notebook.picture("narrow")
        assert notebook.ask(FAULTS) == "[]"


def test_a_page_that_is_left_is_forgotten_and_long_lists_have_pages(lab: Lab) -> None:
    many = "sb.scratch_paths = [*sb.scratch_paths, *(f's{n}' for n in range(1000))]\npreview = sb.preview()\npreview"
    with lab.notebook("previewmany", SETUP, many) as notebook:
        notebook.run_all()
        first, view = notebook.view("preview").first, notebook.view("preview").nth(1)
        rows = view.get_by_role("treeitem")
        expect(first.get_by_role("treeitem").first).to_be_visible()
        rows.filter(has_text="mounts").first.dblclick()
        expect(rows.filter(has_text="after these")).to_have_count(1)
        rows.filter(has_text="after these").click()
        expect(rows.filter(has_text="before these")).to_have_count(1)
        expect(rows.filter(has_text="s999")).to_have_count(0)
        view.get_by_role("searchbox").fill("/s999")
        expect(view.locator("[aria-selected=true]")).to_contain_text("/s999")
        notebook.picture("pages")
        notebook.until(lambda: notebook.ask(DISPLAYED) == "2 2 2")
        # What the browser says to a page that is left; the test needs it to ask the kernel.
        notebook.page.evaluate("window.dispatchEvent(new PageTransitionEvent('pagehide'))")
        notebook.until(lambda: notebook.ask(DISPLAYED) == "2 0 0")


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
        expect(output.locator("img")).to_have_count(0)
        expect(output).to_contain_text("<img src=x onerror=alert(1)>")
        expect(output).not_to_contain_text("hunter22")
        notebook.picture("static")
        assert axe(notebook.page, ".jp-OutputArea-output") == []
