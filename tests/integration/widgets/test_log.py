"""A run's log in a real JupyterLab."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from support.lab import Lab, Notebook

pytestmark = pytest.mark.integration
SETUP = r"""
import hashlib, tempfile, threading, time
from pathlib import Path
from tvixbuild_nb.build import RunRecord
from tvixbuild_nb.keeper.log import LogWriter
from tvixbuild_nb.sandbox import RunLog
from tvixbuild_nb.widgets.log import LogSource
from tvixbuild_nb.widgets.log.live import LogView
record = RunRecord.create(Path(tempfile.mkdtemp()))
writer = LogWriter(str(record.log_path), str(record.index_path))
def put(data, stream=0):
    writer.write(stream, data, time.time())
"""
LINES = r"""
put(b'@nix {"action":"setPhase","phase":"unpackPhase"}\nunpacking\nsource root is x\n')
put(b'@nix {"action":"setPhase","phase":"buildPhase"}\n')
for colour in range(16):
    code = 30 + colour if colour < 8 else 82 + colour
    put(b"\x1b[%dmcolour %d\x1b[0m \x1b[1mbold\x1b[0m \x1b[2mdim\x1b[0m \x1b[%dmback\x1b[0m \x1b[7minverse\x1b[0m\n"
        % (code, colour, code + 10))
put(b"warning: <img src=x onerror=alert(1)>\n", 1)
put("right \u202eto left, \x1b]0;title\x07 not utf-8: ".encode() + b"\xff\n", 1)
put(b" 10%\r 50%\r100% done\n")
put(b"again\n" * 500)
put(b"".join(b"compiling file %d of many\n" % n for n in range(1, 2001)))
put(b"x" * 5000 + b"\n")
view = LogView(LogSource(record)); view
"""


def numbers(notebook: Notebook) -> list[int]:
    """The line numbers in sight, those half outside as well."""
    notebook.page.wait_for_timeout(250)
    texts = notebook.view("log").locator(".log-row .log-n").all_inner_texts()
    return [int(text) for text in texts]


def waits(notebook: Notebook) -> None:
    """Until no row waits for its text."""
    notebook.page.wait_for_timeout(100)
    notebook.page.wait_for_function(
        "document.querySelectorAll('.log-row').length && !document.querySelector('.log-waits')"
    )


def test_by_keyboard_and_eye(lab: Lab) -> None:
    with lab.notebook("log", SETUP, LINES) as notebook:
        notebook.run_all()
        view, page = notebook.view("log"), notebook.page
        view.wait_for()
        region = view.get_by_role("log")
        view.get_by_text("the log is complete: 2,524 lines").wait_for()
        region.focus()
        page.keyboard.press("Home")
        waits(notebook)
        assert numbers(notebook)[0] == 1
        assert "<img src=x onerror=alert(1)>" in (page.keyboard.press("PageDown") or view.inner_text())
        assert view.locator("img").count() == 0
        assert r"\u202eto left" in view.inner_text() and "10%" not in view.inner_text().replace("100%", "")
        assert view.get_by_role("button", name="repeated 500 times").get_attribute("aria-expanded") == "false"
        notebook.picture("colours")
        page.keyboard.press("Home")
        waits(notebook)
        assert notebook.violations("log") == []

        # Down by lines and pages, and a fold by keyboard.
        for _ in range(3):
            page.keyboard.press("ArrowDown")
        assert numbers(notebook)[0] == 4
        page.keyboard.press("ArrowUp")
        assert numbers(notebook)[0] == 3
        page.keyboard.press("Home")
        waits(notebook)
        view.get_by_role("button", name="fold phase unpackPhase").focus()
        page.keyboard.press("Enter")
        assert numbers(notebook)[:2] == [1, 4]
        view.get_by_role("button", name="unfold phase unpackPhase").click()
        assert numbers(notebook)[:2] == [1, 2]

        # Search: the slash leads to it, Enter and n go on, Escape back to the log.
        region.focus()
        page.keyboard.press("/")
        page.keyboard.type("FILE (100)?7 of")
        page.keyboard.press("Enter")
        view.get_by_text("found in line 530").wait_for()
        view.get_by_text("2 lines match").wait_for()
        assert view.locator(".log-hit mark").inner_text() == "file 7 of" or 530 in numbers(notebook)
        page.keyboard.press("Escape")
        page.keyboard.press("n")
        view.get_by_text("found in line 1530").wait_for()
        assert view.locator(".log-hit mark").inner_text() == "file 1007 of"
        notebook.picture("found")
        page.keyboard.press("n")
        view.get_by_text("from the beginning").wait_for()
        page.keyboard.press("Shift+N")
        view.get_by_text("from the end").wait_for()
        view.get_by_label("search the log").fill("(")
        page.keyboard.press("Enter")
        view.get_by_text("no regular expression").first.wait_for()

        # What a search finds within a fold is unfolded.
        view.get_by_label("search the log").fill("again")
        page.keyboard.press("Shift+Enter")
        view.get_by_text("500 lines match").wait_for()
        assert numbers(notebook) == list(range(numbers(notebook)[0], numbers(notebook)[0] + len(numbers(notebook))))
        view.get_by_label("search the log").fill("")

        # Times, wrap, the rest of a wide line, what is copied and saved.
        view.get_by_label("time stamps").select_option("relative")
        view.get_by_label("time stamps").select_option("absolute")
        notebook.until(lambda: view.locator(".log-t").first.inner_text().count(":") == 2)
        region.focus()
        page.keyboard.press("End")
        page.keyboard.press("w")
        waits(notebook)
        assert numbers(notebook)[-1] == 2524
        box, last = region.bounding_box(), view.locator(".log-row").last.bounding_box()
        assert box and last and abs(box["y"] + box["height"] - last["y"] - last["height"]) < 20
        view.get_by_role("button", name="904 more characters").click()
        page.wait_for_function("document.querySelector('.log-row:last-child .log-x').textContent.length === 5000")
        notebook.picture("wrapped")
        assert notebook.violations("log") == []
        page.keyboard.press("Home")
        view.get_by_role("button", name="Wrap").click()
        with page.expect_download() as download:
            view.get_by_role("button", name="Save").click()
        saved = hashlib.sha256(download.value.path().read_bytes()).hexdigest()
        assert saved == notebook.ask("print(hashlib.sha256(record.log_path.read_bytes()).hexdigest())")
        assert notebook.ask("print(view.faults, view.updates.error)") == "[] None"


BURST = r"""
holding = threading.Event()
def burst():
    with record.held():
        holding.set()
        began = time.perf_counter()
        for n in range(0, 1_000_000, 1000):
            text = b"%07d compiling \x1b[32msomething\x1b[0m somewhere\n"
            put(b"".join(text % k for k in range(n + 1, n + 1001)), n // 1000 % 2)
            while time.perf_counter() - began < n / 100_000: time.sleep(0.001)
        global took
        took = time.perf_counter() - began
thread = threading.Thread(target=burst, daemon=True); thread.start(); holding.wait()
sent = []
class Counting(LogView):
    def send(self, content, buffers=None):
        sent.append(len(repr(content)))
        super().send(content, buffers)
view = Counting(LogSource(record)); view
"""
# The longest a frame took, from now on.
WATCH_FRAMES = """() => { window.longest = 0; let last = performance.now();
  const tick = () => { const now = performance.now(); window.longest = Math.max(window.longest, now - last); last = now;
    window.frames_ = requestAnimationFrame(tick); }; tick(); }"""


def ordered(notebook: Notebook) -> None:
    """Every row shows the text of its number, and no number is missing between them."""
    rows: list[Any] = notebook.page.evaluate(
        "[...document.querySelectorAll('.tvixbuild-log .log-row')].map((row) => "
        "[+row.querySelector('.log-n').textContent, +row.querySelector('.log-x').textContent.slice(0, 7)])"
    )
    assert rows and all(number == said for number, said in rows), rows
    assert [number for number, _ in rows] == list(range(rows[0][0], rows[0][0] + len(rows)))


def test_a_burst_of_a_hundred_thousand_lines_a_second(light_lab: Lab) -> None:
    with light_lab.notebook("burst", SETUP, BURST) as notebook:
        notebook.run_all()
        view, page = notebook.view("log"), notebook.page
        view.wait_for()
        page.evaluate(WATCH_FRAMES)
        page.wait_for_timeout(2000)
        waits(notebook)
        ordered(notebook)
        assert "lines went by too quickly to be shown" in view.inner_text()
        # In the middle of it: away from the end, and that stays where it is.
        region = view.get_by_role("log")
        region.focus()
        page.keyboard.press("Home")
        waits(notebook)
        assert numbers(notebook)[0] == 1
        page.wait_for_timeout(500)
        assert numbers(notebook)[0] == 1
        ordered(notebook)
        page.keyboard.press("End")
        notebook.picture("following")
        notebook.save()
        notebook.reload()
        view.wait_for()
        page.evaluate(WATCH_FRAMES)
        view.get_by_text("the log is complete: 1,000,000 lines").wait_for(timeout=60_000)
        waits(notebook)
        ordered(notebook)
        assert numbers(notebook)[-1] == 1_000_000
        # Anywhere by the scroll bar, line by line by the wheel.
        for share in (0.1, 0.5, 0.75, 0.999):
            region.evaluate(
                "(node, share) => { node.scrollTop = share * (node.scrollHeight - node.clientHeight); }", share
            )
            waits(notebook)
            ordered(notebook)
            assert abs(numbers(notebook)[0] - share * 1_000_000) < 500
        before = numbers(notebook)[0]
        region.hover()
        page.mouse.wheel(0, 180)
        waits(notebook)
        assert numbers(notebook)[0] - before == 10
        ordered(notebook)
        view.get_by_label("search the log").fill("0123456 compiling something")
        page.keyboard.press("Enter")
        view.get_by_text("found in line 123456").wait_for(timeout=60_000)
        waits(notebook)
        ordered(notebook)
        longest = page.evaluate("window.longest")
        kernel = notebook.ask("print(took, len(sent), sum(sent), view.faults, view.updates.error)")
        print(f"longest frame {longest:.0f} ms; writer s, messages, bytes sent, faults: {kernel}")
        assert longest < 1500
        assert kernel.endswith("[] None")
        assert int(kernel.split()[2]) < 12_000_000
