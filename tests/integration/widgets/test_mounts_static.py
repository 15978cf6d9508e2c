"""Preview, mount table and isolation in a notebook that was converted to a page, read without a kernel and scripts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Playwright, expect

from support.static import converted, static_violations, without_scripts

pytestmark = pytest.mark.integration
ARTEFACTS = Path(__file__).parents[3] / "test-artefacts"
SETUP = r"""
from tvixbuild_nb import Sandbox, SpecOptions
evil = "<img src=x onerror=alert(1)>"
sb = Sandbox(
    f"echo '{evil}'", env={"EVIL": evil + "\x1b]0;x\x07", "TOKEN": "hunter22"}, secrets=["TOKEN"], store="memory:",
    inputs={evil: b"x", "n" * 255: b"y", "e\u202etxt.exe": b"z"}, additional_files={f"etc/{evil}": "h"},
    options=SpecOptions.for_host().replace(masked_paths=["/proc/kcore", f"/proc/{evil}"]),
)
"""


def test_converted_and_read_without_scripts(playwright: Playwright, tmp_path: Path) -> None:
    cells = (SETUP, "sb.preview()", "sb.preview().diff('tvix')", "sb.mount_table()", "sb.isolation()")
    path = converted(tmp_path, *cells)
    text = path.read_text(encoding="utf-8")
    assert "hunter22" not in text.replace(r"&quot;TOKEN&quot;: &quot;hunter22&quot;", "").partition("sb.preview")[2]
    assert "\x1b" not in text and "\u202e" not in text and "<img src=x" not in text
    with without_scripts(playwright, path) as page:
        outputs = page.locator(".jp-OutputArea-output")
        expect(outputs).to_have_count(4)
        expect(outputs.locator("img, script, style, svg, iframe")).to_have_count(0)
        preview, diff, mounts, isolation = (outputs.nth(number) for number in range(4))
        _preview(preview)
        expect(diff).to_contain_text("process.terminal")
        expect(mounts.get_by_text("<img src=x onerror=alert(1)>").first).to_be_visible()
        expect(mounts).to_contain_text(r"e\u202etxt.exe")
        expect(mounts).to_contain_text("n" * 255)
        mounts.get_by_text("nosuid, strictatime").click()
        expect(mounts.get_by_text("rwxr-xr-x").first).to_be_visible()
        mounts.get_by_text("the resulting tree of /").click()
        expect(mounts.get_by_text("root/ of the bundle, the root file system")).to_be_visible()
        expect(isolation.get_by_text("from inside")).to_be_visible()
        expect(isolation.get_by_text("⟶").first).to_be_visible()
        expect(isolation).to_contain_text("65534")
        isolation.get_by_text("capabilities dropped").click()
        expect(isolation.get_by_text("CAP_SYS_ADMIN")).to_be_visible()
        isolation.get_by_text("masked and read-only paths").click()
        expect(isolation.get_by_text("/proc/<img src=x onerror=alert(1)>")).to_be_visible()
        ARTEFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTEFACTS / "mounts-isolation-static.png", full_page=True)
    assert static_violations(playwright, path, ".jp-OutputArea-output") == []


def _preview(preview: Locator) -> None:
    """Folded at first; a part unfolded says everything about itself, and where Tvix differs."""
    expect(preview).to_contain_text("valid")
    said = preview.get_by_text("whether the process gets a terminal")
    expect(said).not_to_be_visible()
    preview.locator("summary", has_text=re.compile("^process")).click()
    preview.locator("summary", has_text=re.compile("^terminal")).click()
    expect(said).to_be_visible()
    terminal = preview.locator("details", has_text="whether the process gets a terminal").last
    expect(terminal).to_contain_text("without it:")
    expect(terminal).to_contain_text("not as Tvix: terminal")
    link = preview.locator("a", has_text="config.md, Process").first
    expect(link).to_have_attribute("href", re.compile("runtime-spec/blob/.*#configProcess$"))
    preview.locator("summary", has_text=re.compile("^env")).click()
    expect(preview.get_by_text("EVIL=<img src=x onerror=alert(1)>").first).to_be_visible()
    expect(preview).to_contain_text("not as Tvix renders it")
