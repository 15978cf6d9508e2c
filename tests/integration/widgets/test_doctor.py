"""A doctor's report in a real JupyterLab."""

from __future__ import annotations

import pytest

from support.lab import Lab

pytestmark = pytest.mark.integration
SETUP = """
from tvixbuild_nb.build.doctor import Check, DoctorReport, Host
HOSTILE = "<img src=x onerror=window.bad=1>\\x1b[2J\\u202e\\udcff"
checks = (Check("kernel", "ok", "asked the kernel", "Linux 6.1"),
    Check("FUSE", "fail", "mounted a file system", "no /dev/fuse", "sudo modprobe fuse", "fuse"),
    Check("cgroups", "ok", "made one", "version 2"),
    Check("store", "warn", "looked", HOSTILE + ": 2 MB free", "make room, or choose another place"))
DoctorReport(Host("docker", ("/.dockerenv",)), checks, False, 0.5)
"""


def test_shows_what_is_missing_and_copies_what_mends_it(lab: Lab) -> None:
    with lab.notebook("doctor", SETUP) as notebook:
        notebook.run_all()
        view = notebook.view("doctor")
        view.wait_for()
        assert view.locator("details").evaluate_all("nodes => nodes.map((node) => node.open)") == [
            False, True, False, True,
        ]  # fmt: skip
        assert "<img src=x onerror=window.bad=1>\\x1b[2J\\u202e\\xff: 2 MB free" in view.inner_text()
        button = view.get_by_role("button", name="copy what mends FUSE")
        notebook.page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
        # By keyboard: the first stop is "open all", which opens every group.
        view.get_by_role("button", name="open all").focus()
        notebook.page.keyboard.press("Enter")
        assert view.locator("details[open]").count() == 4
        button.focus()
        notebook.page.keyboard.press("Enter")
        view.get_by_text("copied").wait_for()
        assert notebook.page.evaluate("window.copied") == "sudo modprobe fuse"
        notebook.picture("report")
        assert notebook.violations("doctor") == []
        assert notebook.page.evaluate("window.bad") is None
