"""Form, history, doctor and progress in a notebook that was converted to a page, read without a kernel and scripts."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Playwright, expect

from support.static import converted, static_violations, without_scripts

pytestmark = pytest.mark.integration
ARTEFACTS = Path(__file__).parents[3] / "test-artefacts"
SECRET = "hunter2-" + "hunter2"
# The secret is put together there: what a person typed into a cell stays in the cell.
SETUP = r"""
import os, time
os.environ["TVIXBUILD_NB_STATE"] = os.path.join(os.getcwd(), "state")
from tvixbuild_nb import Sandbox, open_castore
from tvixbuild_nb.build import DummyBuildService
from tvixbuild_nb.build.doctor import Check, DoctorReport, Host
from tvixbuild_nb.castore.progress import Shown
evil, secret = "<img src=x onerror=alert(1)>", "-".join(["hunter2"] * 2)
store = open_castore("memory:")
def script(request, build):
    return {} if "EVIL" in request.environment_vars else {p: store.ingest_bytes(b"out") for p in request.outputs}
sb = Sandbox(f"curl -H {secret} x", outputs=["nix/store/o"], env={"TOKEN": secret}, secrets=["TOKEN"], store=store,
    inputs={evil: b"x", "n" * 255: b"y", "e\u202etxt.exe": b"z"}, builder=DummyBuildService(store, script),
    additional_files={"build/raw": b"\xff\x00\x1b" * 50, "build/kept": b"\xfe" + secret.encode(), f"build/{evil}": "h"})
sb.run(show=False)
sb.env["EVIL"] = evil + "\x1b]0;x\x07" + secret
sb.run(show=False)
checks = (Check("kernel", "ok", "asked", "Linux 6.1"),
    Check("FUSE", "fail", "tried", evil + "\x1b[2J", f"rm {evil}", "fuse"))
wrong = Sandbox("true", outputs=["elsewhere"], store="memory:")
"""
PROGRESS = r"""
try:
    with Shown(f"ingest of {evil}") as progress:
        for step in range(8):
            time.sleep(0.1)
            progress.advance(1, 1000)
        raise ValueError
except ValueError:
    pass
"""


def test_converted_and_read_without_scripts(playwright: Playwright, tmp_path: Path) -> None:
    cells = (
        SETUP,
        "sb.edit()",
        "wrong",
        "sb.history()",
        'DoctorReport(Host("docker", ()), checks, False, 0.5)',
        PROGRESS,
    )
    path = converted(tmp_path, *cells)
    text = path.read_text(encoding="utf-8")
    hexed = SECRET.encode().hex(" ")
    for never in (SECRET, hexed, hexed[:20], "\x1b", "\u202e", "<img src=x"):
        assert never not in text
    with without_scripts(playwright, path) as page:
        outputs = page.locator(".jp-OutputArea-output")
        expect(outputs).to_have_count(5)
        expect(outputs.locator("img, script, style, svg, iframe, input")).to_have_count(0)
        form, invalid, history, doctor, progress = (outputs.nth(number) for number in range(5))

        expect(form.get_by_text("<img src=x onerror=alert(1)>").first).to_be_visible()
        for words in (r"e\u202etxt.exe", "n" * 255, "curl -H [secret TOKEN] x", "Request digest", "nix/store/o"):
            expect(form).to_contain_text(words)
        dump = form.get_by_text("0000  ff 00 1b ff")
        expect(dump).not_to_be_visible()
        form.locator("summary", has_text="build/raw").click()
        expect(dump).to_be_visible()
        expect(form.get_by_text("only the beginning is shown").first).to_be_visible()
        form.locator("summary", has_text="build/kept").click()
        expect(form).to_contain_text("not text, and holds the value of a secret variable")
        form.get_by_text("Python that makes this request").click()
        expect(form.get_by_text("'TOKEN': os.environ['TOKEN']")).to_be_visible()
        expect(form.get_by_text("'curl -H ' + os.environ['TOKEN'] + ' x'")).to_be_visible()

        expect(invalid).to_contain_text("does not lie below a scratch path")
        expect(history).to_contain_text("failed at output")
        expect(history).to_contain_text("missing outputs")
        expect(history).to_contain_text(
            r"environment_vars[EVIL]: + <img src=x onerror=alert(1)>\x1b]0;x\x07[secret TOKEN]"
        )
        expect(doctor.get_by_text("rm <img src=x onerror=alert(1)>")).to_be_visible()
        expect(doctor.get_by_text("Linux 6.1")).not_to_be_visible()
        doctor.get_by_text("kernel and namespaces").click()
        expect(doctor.get_by_text("Linux 6.1")).to_be_visible()
        expect(progress).to_contain_text("ingest of <img src=x onerror=alert(1)>: 8 files, 8.0 kB in")
        expect(progress).to_contain_text("ended by ValueError")
        ARTEFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTEFACTS / "form-history-doctor-static.png", full_page=True)
    assert static_violations(playwright, path, ".jp-OutputArea-output") == []
