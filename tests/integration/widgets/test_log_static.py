"""A log as it is read without a kernel: through nbconvert, in a Chromium without scripts."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Playwright, expect

from support.static import converted, static_violations, without_scripts

pytestmark = pytest.mark.integration
ARTEFACTS = Path(__file__).parents[3] / "test-artefacts"
CELL = r"""
import tempfile, time
from pathlib import Path
from tvixbuild_nb.build import RunRecord
from tvixbuild_nb.keeper.log import LogWriter
from tvixbuild_nb.sandbox import RunLog
record = RunRecord.create(Path(tempfile.mkdtemp(dir=".")))
writer = LogWriter(str(record.log_path), str(record.index_path))
writer.write(0, b"\x1b[31mred\x1b[0m \x1b[38;5;208mtrue orange\x1b[0m <script>alert(1)</script>\n", time.time())
writer.write(1, b"warning: <img src=x onerror=alert(1)> \x1b]0;title\x07\n", time.time())
writer.write(1, "right \u202eto left ".encode() + b"\xff\n" + b"w" * 5000 + b"\n", time.time())
writer.write(0, b"".join(b"line %d\n" % n for n in range(1000)), time.time())
writer.close()
RunLog(record)
"""


def test_a_log_without_a_kernel_and_without_scripts(playwright: Playwright, tmp_path: Path) -> None:
    ARTEFACTS.mkdir(exist_ok=True)
    path = converted(tmp_path, CELL)
    with without_scripts(playwright, path) as page:
        log = page.locator("details", has_text="log: 1,004 lines")
        expect(log.locator("img, script, style, svg")).to_have_count(0)
        for text in (
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            r"right \u202eto left",
            "[4,500 more",
        ):
            expect(log).to_contain_text(text)
        expect(log.get_by_text("704 lines are not shown here")).to_be_visible()
        expect(log).to_contain_text("line 999")
        expect(log).not_to_contain_text("title")
        expect(log.get_by_text("true orange")).to_have_attribute("style", "background:#ff870040")
        expect(log.get_by_text("red", exact=True)).to_have_attribute("style", "background:#cd000040")
        page.screenshot(path=ARTEFACTS / "log-static.png")
        log.locator("summary").click()
        expect(log.get_by_text("704 lines are not shown here")).to_be_hidden()
    assert static_violations(playwright, path, "details") == []
