"""The mount table in a real JupyterLab, planned and beside what an observed run had."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from support.lab import Lab, Notebook

pytestmark = pytest.mark.integration
PLANNED = """
from tvixbuild_nb import Sandbox
sb = Sandbox(
    "echo built > /nix/store/out",
    outputs=["nix/store/out"],
    inputs={"<img src=x onerror=alert(1)>": b"hello", "e\\u202etxt.exe": b"hostile"},
    additional_files={"etc/motd": "hello"},
)
sb.mount_table()
"""
OBSERVED = """
run = sb.run(observe=True, show=False)
table = run.mount_table()
table
"""
ROWS = """
import json
print(json.dumps([
    {"destination": row.destination, "options": row.options, "type": row.seen.type, "seen": row.seen.options,
     "mode": f"mode {row.seen.mode:04o}, owner {row.seen.uid}:{row.seen.gid}"}
    for row in table if row.seen is not None and row.seen.mode is not None and row.destination.isascii()
]))
"""
FAULTS = """
from ipywidgets.widgets.widget import _instances
print([fault for view in _instances.values() for fault in getattr(view, "faults", ())])
"""


def test_planned_sorted_filtered_and_the_tree(lab: Lab) -> None:
    with lab.notebook("mounts", PLANNED) as notebook:
        notebook.run_all()
        view = notebook.view("mounts")
        rows = view.locator("tbody tr:visible")
        expect(rows).to_have_count(int(notebook.ask("print(len(sb.mount_table()))")))
        notebook.picture("table")
        expect(view.locator("img")).to_have_count(0)
        expect(view).to_contain_text("<img src=x onerror=alert(1)>")
        expect(view).to_contain_text("e\\u202etxt.exe")
        view.get_by_role("button", name="destination").click()
        expect(view.locator("th[aria-sort=ascending]")).to_have_text("destination")
        expect(rows.first).to_contain_text("/bin/sh")
        view.get_by_role("button", name="destination").click()
        expect(view.locator("th[aria-sort=descending]")).to_have_text("destination")
        expect(rows.first).to_contain_text("/tmp")
        view.get_by_label("Filter mounts").fill("scratch_paths")
        expect(rows).to_have_count(2)
        view.get_by_label("Filter mounts").fill("")
        view.get_by_label("Which mounts").select_option("inputs")
        expect(rows).to_have_count(2)
        view.get_by_role("button", name="spell options out").click()
        expect(view.locator("tbody")).to_contain_text("cannot be written to")
        notebook.picture("inputs-spelled-out")
        assert notebook.violations("mounts") == []
        _walk_the_tree(notebook)
        assert notebook.violations("mounts") == []
        assert notebook.ask(FAULTS) == "[]"


def _walk_the_tree(notebook: Notebook) -> None:
    """By keys alone, from the tabs into the tree and through it."""
    view = notebook.view("mounts")
    view.get_by_role("tab", name="mounts").focus()
    press = notebook.page.keyboard.press
    press("ArrowRight")
    expect(view.get_by_role("tab", name="tree of /")).to_have_attribute("aria-selected", "true")
    view.get_by_role("treeitem").first.wait_for()
    press("Tab")
    focused = view.locator("[role=treeitem]:focus")
    expect(focused).to_have_attribute("aria-level", "1")
    names = view.get_by_role("treeitem")
    for key, at in (("ArrowDown", 1), ("ArrowDown", 2), ("ArrowUp", 1), ("End", -1), ("Home", 0)):
        press(key)
        expect(names.nth(at)).to_be_focused()
    dev = view.locator("[role=treeitem][title='/dev']")
    dev.focus()
    before = view.get_by_role("treeitem").count()
    dev.click()
    expect(dev).to_have_attribute("aria-expanded", "true")
    expect(view.locator("[role=treeitem][title='/dev/null']")).to_contain_text("default device")
    press("ArrowLeft")
    expect(dev).to_have_attribute("aria-expanded", "false")
    expect(view.get_by_role("treeitem")).to_have_count(before)
    motd = view.locator("[role=treeitem][title='/etc/motd']")
    expect(motd).to_contain_text("additional_files['etc/motd']")
    expect(motd).to_contain_text("read-only")
    notebook.picture("tree")
    # Keys stay in the view: x did not cut the cell, b made none below.
    press("x")
    press("b")
    assert notebook.page.locator(".jp-CodeCell").count() == 1


@pytest.mark.usefixtures("root")
def test_planned_and_seen_side_by_side(lab: Lab) -> None:
    with lab.notebook("mounts-observed", PLANNED.replace("sb.mount_table()", ""), OBSERVED) as notebook:
        notebook.page.set_viewport_size({"width": 900, "height": 900})
        notebook.run_all()
        view = notebook.view("mounts")
        rows = view.locator("tbody tr:visible")
        expect(rows).to_have_count(int(notebook.ask("print(len(table))")))
        assert notebook.ask("print(run.status)") == "succeeded"
        # What was planned, and beside it what the kernel said and the mode in force.
        for row in json.loads(notebook.ask(ROWS)):
            there = rows.filter(has=notebook.page.get_by_text(row["destination"], exact=True)).first
            planned, seen = there.locator("td.of-options"), there.locator("td.of-seen")
            for option in row["options"]:
                expect(planned).to_contain_text(option)
            expect(seen).to_contain_text(row["type"])
            for text in [*row["seen"], row["mode"]]:
                expect(seen).to_contain_text(text)
        notebook.picture("narrow")
        box = view.locator(".scroll").first
        assert box.evaluate("box => box.scrollWidth > box.clientWidth"), "a wide table scrolls inside the view"
        assert view.evaluate("view => view.scrollWidth <= view.clientWidth + 1")
        # However far it is scrolled, the destinations stay in sight, and so do the heads of the columns.
        box.evaluate("box => { box.scrollLeft = box.scrollWidth; box.scrollTop = 200 }")
        frame = box.evaluate("box => box.getBoundingClientRect().toJSON()")
        last = view.locator("td.of-destination:visible").last.evaluate("cell => cell.getBoundingClientRect().toJSON()")
        assert abs(last["left"] - frame["left"]) < 3
        head = view.locator("th.of-destination:visible").evaluate("cell => cell.getBoundingClientRect().toJSON()")
        assert abs(head["left"] - frame["left"]) < 3 and abs(head["top"] - frame["top"]) < 3
        notebook.picture("narrow-scrolled")
        view.get_by_role("tab", name="seen besides").click()
        besides = view.locator("tbody tr:visible")
        expect(besides).to_have_count(int(notebook.ask("print(len(table.unplanned))")))
        expect(view).to_contain_text("a default device, bound from the host by the runtime")
        notebook.picture("besides")
        assert notebook.violations("mounts") == []
        assert notebook.ask(FAULTS) == "[]"
