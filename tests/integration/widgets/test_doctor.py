"""A doctor's report in a real JupyterLab."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from support.lab import Lab

pytestmark = pytest.mark.integration
SETUP = """
import threading
from dataclasses import replace
from tvixbuild_nb.build.doctor import Check, DoctorReport, Host
HOSTILE = "<img src=x onerror=window.bad=1>\\x1b[2J\\u202e\\udcff"
checks = (Check("kernel", "ok", "asked the kernel", "Linux 6.1"),
    Check("FUSE", "fail", "mounted a file system", "no /dev/fuse", "sudo modprobe fuse", "fuse"),
    Check("cgroups", "ok", "made one", "version 2"),
    Check("store", "warn", "looked", HOSTILE + ": 2 MB free", "make room, or choose another place"))
go_on = threading.Event()
def again():
    go_on.wait()
    go_on.clear()
    mended = tuple(replace(check, status="ok") if check.name == "FUSE" else check for check in checks)
    return DoctorReport(Host("docker", ("/.dockerenv",)), mended, True, 0.7, fail if found else again)
def fail():
    raise OSError("no more processes <b>")
found = []
DoctorReport(Host("docker", ("/.dockerenv",)), checks, False, 0.5, again)
"""
FAULTS = """
from ipywidgets.widgets.widget import _instances
print([fault for view in _instances.values() for fault in getattr(view, "faults", [])])
"""


def test_shows_what_is_missing_copies_what_mends_it_and_looks_again(lab: Lab) -> None:
    with lab.notebook("doctor", SETUP) as notebook:
        notebook.run_all()
        view, keys = notebook.view("doctor"), notebook.page.keyboard
        opened = view.locator("details[open]")
        expect(view.locator("details")).to_have_count(4)
        expect(opened).to_have_count(2)
        expect(opened.first).to_contain_text("no /dev/fuse")
        expect(view).to_contain_text("<img src=x onerror=window.bad=1>\\x1b[2J\\u202e\\xff: 2 MB free")
        notebook.page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
        # By keyboard: the first stop is "open all", which opens every group.
        view.get_by_role("button", name="open all").focus()
        keys.press("Enter")
        expect(opened).to_have_count(4)
        view.get_by_role("button", name="copy what mends FUSE").focus()
        keys.press("Enter")
        notebook.until(lambda: notebook.page.evaluate("window.copied") == "sudo modprobe fuse")
        notebook.picture("report")
        assert notebook.violations("doctor") == []

        button = view.get_by_role("button", name="examine again")
        button.focus()
        keys.press("Enter")
        expect(view.get_by_text("being examined…")).to_be_visible()
        # The view goes on meanwhile.
        view.get_by_text("limits").click()
        expect(opened).to_have_count(3)
        notebook.ask("found.append(1); go_on.set()")
        expect(view.get_by_text("examined in 0.7 s")).to_be_visible()
        expect(view.get_by_role("status")).to_contain_text("builds can run here")
        expect(opened).to_have_count(3)
        button.focus()
        keys.press("Enter")
        expect(view.get_by_role("alert")).to_contain_text("no more processes <b>")
        notebook.picture("again")
        notebook.page.set_viewport_size({"width": 900, "height": 900})
        notebook.picture("narrow")
        notebook.page.set_viewport_size({"width": 1280, "height": 900})
        assert notebook.page.evaluate("window.bad") is None
        assert notebook.ask(FAULTS) == "[]"
