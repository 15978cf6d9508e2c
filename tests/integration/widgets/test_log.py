"""A run's log in a real JupyterLab."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

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
put(b"\x1b[35mleft set,\n")
put(b"other stream\n", 1)
put(b"still magenta\x1b[0m\n")
put(b"\x1b[38;5;208;48;5;17morange on navy\x1b[0m \x1b[38;2;250;250;200mpale\x1b[0m \x1b[38;2;40;0;0mdark\x1b[0m "
    b"\x1b[30;48;2;0;0;0mblack on black\x1b[0m \x1b[7;38;5;214minverse\x1b[0m\n")
put(b"".join(b"\x1b[38;5;%dm#" % n for n in range(16, 232)) + b"\x1b[0m\n")
put(b"warning: <img src=x onerror=alert(1)>\n", 1)
put("right \u202eto left, \x1b]0;title\x07 not utf-8: ".encode() + b"\xff\n", 1)
put(b" 10%\r 50%\r100% done\n")
put(b"again\n" * 500)
put(b"".join(b"compiling file %d of many\n" % n for n in range(1, 2001)))
put(b"x" * 5000 + b"\n")
view = LogView(LogSource(record)); view
"""


# Every number in sight, and whether every row has its text, at one moment.
IN_SIGHT = """(node) => [...node.querySelectorAll('.log-row')].map(
  (row) => row.classList.contains('log-waits') ? null : +row.querySelector('.log-n').textContent)"""


def numbers(notebook: Notebook) -> list[int | None]:
    """The line numbers in sight, those half outside as well; None for a line that waits for its text."""
    found: list[int | None] = notebook.view("log").evaluate(IN_SIGHT)
    return found


def until_rows(notebook: Notebook, holds: Callable[[list[int]], object]) -> list[int]:
    """Wait until every row in sight has its text and ``holds`` is true of their numbers."""

    def settled() -> bool:
        found = numbers(notebook)
        return bool(found) and None not in found and bool(holds([number for number in found if number is not None]))

    notebook.until(settled)
    return [number for number in numbers(notebook) if number is not None]


def test_by_keyboard_and_eye(lab: Lab) -> None:
    with lab.notebook("log", SETUP, LINES) as notebook:
        notebook.run_all()
        view, page = notebook.view("log"), notebook.page
        view.wait_for()
        region, field = view.get_by_role("log"), view.get_by_label("search the log")
        expect(view.get_by_text("the log is complete: 2,529 lines")).to_be_visible()
        region.focus()
        page.keyboard.press("Home")
        until_rows(notebook, lambda found: found[0] == 1)
        notebook.picture("colours")
        assert notebook.violations("log") == []
        page.keyboard.press("PageDown")
        until_rows(notebook, lambda found: 25 in found)
        # What a line left set goes on in the next of its stream; colours beyond the sixteen are what they are.
        expect(view.get_by_text("still magenta")).to_have_class("sgr-f5")
        orange = view.get_by_text("orange on navy")
        expect(orange).to_have_css("background-color", "rgb(0, 0, 95)")
        expect(orange).to_have_css("color", "rgb(255, 135, 0)")
        notebook.picture("true-colours")
        assert notebook.violations("log") == []
        expect(region).to_contain_text("<img src=x onerror=alert(1)>")
        expect(region).to_contain_text(r"\u202eto left")
        expect(region).to_contain_text("100% done")
        expect(region).not_to_contain_text("50%")
        expect(view.locator("img")).to_have_count(0)
        expect(view.get_by_role("button", name="repeated 500 times")).to_have_attribute("aria-expanded", "false")

        # Down by lines and pages, and a fold by keyboard.
        page.keyboard.press("Home")
        until_rows(notebook, lambda found: found[0] == 1)
        for _ in range(3):
            page.keyboard.press("ArrowDown")
        until_rows(notebook, lambda found: found[0] == 4)
        page.keyboard.press("ArrowUp")
        until_rows(notebook, lambda found: found[0] == 3)
        page.keyboard.press("Home")
        until_rows(notebook, lambda found: found[0] == 1)
        view.get_by_role("button", name="fold phase unpackPhase", exact=True).focus()
        page.keyboard.press("Enter")
        until_rows(notebook, lambda found: found[:2] == [1, 4])
        view.get_by_role("button", name="unfold phase unpackPhase").click()
        until_rows(notebook, lambda found: found[:2] == [1, 2])

        # Search, as one types: the slash leads to it, Enter and n go on, Escape back to the log.
        region.focus()
        page.keyboard.press("/")
        expect(field).to_be_focused()
        page.keyboard.type("FILE (100)?7 of")
        expect(view.get_by_text("found in line 535")).to_be_visible()
        expect(view.get_by_text("2 lines match")).to_be_visible()
        expect(view.locator(".log-hit mark")).to_have_text("file 7 of")
        page.keyboard.press("Enter")
        expect(view.locator(".log-hit mark")).to_have_text("file 1007 of")
        expect(view.get_by_text("found in line 1535")).to_be_visible()
        notebook.picture("found")
        page.keyboard.press("Escape")
        expect(region).to_be_focused()
        page.keyboard.press("n")
        expect(view.get_by_text("from the beginning")).to_be_visible()
        page.keyboard.press("Shift+N")
        expect(view.get_by_text("from the end")).to_be_visible()
        for wrong, said in {
            "(": "no regular expression",
            "(?=x)": "linear time",
            "(a?){500}a{500}": "too large",
        }.items():
            field.fill(wrong)
            expect(view.locator(".log-said")).to_contain_text(said)
        field.fill("(x+x+)+y$")
        expect(view.locator(".log-said")).to_have_text("no match")
        expect(view.locator(".log-matches")).to_have_text("no match")

        # What a search finds within a fold is unfolded.
        field.fill("again")
        field.press("Shift+Enter")
        expect(view.get_by_text("500 lines match")).to_be_visible()
        until_rows(notebook, lambda found: found == list(range(found[0], found[0] + len(found))))
        field.fill("")

        # Times, wrap, the rest of a wide line, what is saved.
        times = view.get_by_label("time stamps")
        expect(view.locator(".log-t")).to_have_count(0)
        times.select_option("relative")
        expect(view.locator(".log-t").first).to_have_text(re.compile(r"^\d+:\d\d\.\d{3}$"))
        times.select_option("absolute")
        expect(view.locator(".log-t").first).to_have_text(re.compile(r"^\d\d:\d\d:\d\d\.\d{3}$"))
        region.focus()
        page.keyboard.press("End")
        page.keyboard.press("w")
        expect(view.get_by_role("button", name="Wrap")).to_have_attribute("aria-pressed", "true")
        until_rows(notebook, lambda found: found[-1] == 2529)

        def stands_at_the_end() -> bool:
            box, last = region.bounding_box(), view.locator(".log-row").last.bounding_box()
            return bool(box and last and abs(box["y"] + box["height"] - last["y"] - last["height"]) < 20)

        notebook.until(stands_at_the_end)
        view.get_by_role("button", name="904 more characters").click()
        page.wait_for_function("document.querySelector('.log-row:last-child .log-x').textContent.length === 5000")
        notebook.picture("wrapped")
        assert notebook.violations("log") == []
        times.select_option("off")
        expect(view.locator(".log-t")).to_have_count(0)
        with page.expect_download() as download:
            view.get_by_role("button", name="Save").click()
        saved = hashlib.sha256(download.value.path().read_bytes()).hexdigest()
        assert saved == notebook.ask("print(hashlib.sha256(record.log_path.read_bytes()).hexdigest())")
        assert notebook.ask("print(view.faults, view.updates.error)") == "[] None"


SECRETS = r"""
from tvixbuild_nb.request import Redactor
put(b"".join(b"line %d\n" % n for n in range(1, 1001)))
put(b"token: hunter2-cor\nrect-horse end\n", 1)
put(b"".join(b"%d\n" % (n // 5) for n in range(10_003 * 5)))
view = LogView(LogSource(record, redactor=Redactor({"TOKEN": "hunter2-correct-horse"}))); view
"""


def test_lines_are_chosen_copied_and_saved_without_secrets(lab: Lab) -> None:
    lab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    with lab.notebook("chosen", SETUP, SECRETS) as notebook:
        notebook.page.set_viewport_size({"width": 900, "height": 700})
        notebook.run_all()
        view, page = notebook.view("log"), notebook.page
        view.wait_for()
        region, said = view.get_by_role("log"), view.locator(".log-said")
        clipboard = "navigator.clipboard.readText()"
        # Folds that are not kept are told of.
        expect(view.locator(".log-count")).to_contain_text("2 more folds not kept")

        # By keyboard, over more lines than there are rows.
        region.focus()
        page.keyboard.press("Home")
        until_rows(notebook, lambda found: found[0] == 1)
        page.keyboard.press("Shift+ArrowDown")
        expect(said).to_have_text("lines 1 to 2 chosen")
        expect(view.locator(".log-chosen")).to_have_count(2)
        for _ in range(60):
            page.keyboard.press("Shift+ArrowDown")
        expect(said).to_have_text("lines 1 to 62 chosen")
        until_rows(notebook, lambda found: found[0] > 2 and 62 in found)
        notebook.picture("chosen")
        assert notebook.violations("log") == []
        page.keyboard.press("Control+c")
        expect(said).to_have_text("copied lines 1 to 62")
        assert page.evaluate(clipboard) == "".join(f"line {n}\n" for n in range(1, 63))
        page.keyboard.press("Escape")
        expect(view.locator(".log-chosen")).to_have_count(0)

        # By mouse, from one end of the log to far away; what is folded in between is copied as well.
        page.keyboard.press("Home")
        until_rows(notebook, lambda found: found[0] == 1)
        view.locator(".log-row", has_text="line 5").first.locator(".log-n").click()
        expect(said).to_have_text("line 5 chosen")
        view.get_by_label("search the log").fill("token")
        expect(view.get_by_text("found in line 1001")).to_be_visible()
        view.locator(".log-row", has_text="end").locator(".log-x").click(modifiers=["Shift"])
        expect(said).to_have_text("lines 5 to 1,002 chosen")
        view.get_by_role("button", name="Copy lines 5 to 1,002").click()
        expect(said).to_have_text("copied lines 5 to 1,002")
        copied = page.evaluate(clipboard).splitlines()
        assert copied[:-2] == [f"line {n}" for n in range(5, 1001)]
        assert copied[-2:] == ["token: [secret TOKEN]", "[secret TOKEN] end"]

        # Text selected with the mouse is kept as lines when its rows leave the page.
        region.focus()
        page.keyboard.press("Escape")
        page.keyboard.press("Home")
        until_rows(notebook, lambda found: found[0] == 1)
        page.evaluate(
            """() => { const text = (n) => document.querySelectorAll('.log-x')[n].firstChild;
            document.getSelection().setBaseAndExtent(text(2), 0, text(5), 4); }"""
        )
        page.keyboard.press("End")
        expect(view.get_by_role("button", name="Copy lines 3 to 6")).to_be_visible()

        # Save says that something is left out.
        with page.expect_download() as download:
            view.get_by_role("button", name="Save").click()
        expect(said).to_contain_text("values of secrets are left out of 2 lines")
        saved = download.value.path().read_bytes()
        assert b"hunter2" not in saved and b"[secret TOKEN] end\n" in saved and saved.count(b"\n") == 1002 + 50_015
        view.get_by_label("search the log").fill("hunter|horse")
        expect(said).to_have_text("no match")
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


def ordered(notebook: Notebook, holds: Callable[[list[int]], object]) -> list[int]:
    """Wait for rows of which ``holds`` is true; each shows the text of its number, none is missing between them."""
    rows: list[tuple[int, int]] = []

    def found() -> bool:
        rows[:] = notebook.page.evaluate(
            "[...document.querySelectorAll('.tvixbuild-log .log-row')].map((row) => "
            "[+row.querySelector('.log-n').textContent, parseInt(row.querySelector('.log-x').textContent, 10) || null])"
        )
        return bool(rows) and None not in [said for _, said in rows] and bool(holds([number for number, _ in rows]))

    notebook.until(found)
    numbers = [number for number, _ in rows]
    assert rows == [[number, number] for number in numbers]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return numbers


def test_a_burst_of_a_hundred_thousand_lines_a_second(lab: Lab) -> None:
    with lab.notebook("burst", SETUP, BURST) as notebook:
        notebook.run_all()
        view, page = notebook.view("log"), notebook.page
        view.wait_for()
        page.evaluate(WATCH_FRAMES)
        expect(view.locator(".log-count")).to_contain_text("lines went by too quickly to be shown")
        ordered(notebook, lambda found: found[0] > 50_000)
        # In the middle of it: away from the end, and that stays where it is while more comes.
        region, count = view.get_by_role("log"), view.locator(".log-count")
        region.focus()
        page.keyboard.press("Home")
        ordered(notebook, lambda found: found[0] == 1)
        before = count.inner_text()
        notebook.until(lambda: count.inner_text() != before)
        ordered(notebook, lambda found: found[0] == 1)
        page.keyboard.press("End")
        notebook.picture("following")
        notebook.save()
        notebook.reload()
        view.wait_for()
        page.evaluate(WATCH_FRAMES)
        expect(view.get_by_text("the log is complete: 1,000,000 lines")).to_be_visible(timeout=60_000)
        ordered(notebook, lambda found: found[-1] == 1_000_000)
        # Anywhere by the scroll bar, line by line by the wheel.
        for share in (0.1, 0.5, 0.75, 0.999):
            region.evaluate(
                "(node, share) => { node.scrollTop = share * (node.scrollHeight - node.clientHeight); }", share
            )
            rows = ordered(notebook, lambda found, near=share * 1_000_000: abs(found[0] - near) < 500)
        region.hover()
        page.mouse.wheel(0, 180)
        ordered(notebook, lambda found: found[0] - rows[0] == 10)
        view.get_by_label("search the log").fill("0123456 compiling something")
        view.get_by_label("search the log").press("Enter")
        expect(view.get_by_text("found in line 123456")).to_be_visible(timeout=60_000)
        ordered(notebook, lambda found: 123_456 in found)
        longest = page.evaluate("window.longest")
        kernel = notebook.ask("print(took, len(sent), sum(sent), view.faults, view.updates.error)")
        print(f"longest frame {longest:.0f} ms; writer s, messages, bytes sent, faults: {kernel}")
        assert longest < 3000  # a page that is frozen; a busy machine makes frames of half a second
        assert kernel.endswith("[] None")
        assert int(kernel.split()[2]) < 12_000_000
