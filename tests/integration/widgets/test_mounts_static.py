"""Mount table and isolation without a kernel and without scripts, in Chromium."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Playwright, Request, expect

from support.lab import CHROMIUM
from tvixbuild_nb import Sandbox
from tvixbuild_nb.widgets.isolation import isolation_forms
from tvixbuild_nb.widgets.mounts import mounts_forms

pytestmark = pytest.mark.integration
ARTEFACTS = Path(__file__).parents[3] / "test-artefacts"


def test_static_forms_without_scripts(playwright: Playwright) -> None:
    sandbox = Sandbox("true", inputs={"<img src=x onerror=alert(1)>": b"x", "n" * 255: b"y"}, store="memory:")
    parts = (mounts_forms(sandbox.mount_table()).html(), isolation_forms(sandbox.isolation()).html())
    browser = playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False, args=["--disable-gpu"])
    try:
        page = browser.new_context(java_script_enabled=False, viewport={"width": 900, "height": 1400}).new_page()
        asked: list[Request] = []
        page.on("request", lambda request: asked.append(request))
        page.set_content(f"<!doctype html><body>{parts[0]}{parts[1]}</body>")
        assert page.locator("img, script, style, svg").count() == 0
        expect(page.get_by_text("<img src=x onerror=alert(1)>").first).to_be_visible()
        page.get_by_text("nosuid, strictatime").click()
        expect(page.get_by_text("rwxr-xr-x").first).to_be_visible()
        page.get_by_text("the resulting tree of /").click()
        expect(page.get_by_text("root/ of the bundle, the root file system")).to_be_visible()
        expect(page.get_by_text("from inside")).to_be_visible()
        page.get_by_text("capabilities dropped").click()
        expect(page.get_by_text("CAP_SYS_ADMIN")).to_be_visible()
        page.screenshot(path=ARTEFACTS / "mounts-isolation-static.png", full_page=True)
        assert asked == []
    finally:
        browser.close()
