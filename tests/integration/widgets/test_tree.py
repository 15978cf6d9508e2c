"""The tree browser in a real JupyterLab."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Locator, expect

from support.lab import Lab, Notebook

pytestmark = pytest.mark.integration
SETUP = """
import base64, json
from tvixbuild_nb.castore import *
from tvixbuild_nb.display import mimebundle
store = open_castore("memory:")
def folder(**entries):
    made = Directory({key.encode() if isinstance(key, str) else key: node for key, node in entries.items()})
    return DirectoryNode(store.directories.put(made), made.size)
def folder_of(pairs):
    made = Directory(pairs)
    return DirectoryNode(store.directories.put(made), made.size)
text = store.ingest_bytes(b"line one\\n\\x1b[31mred\\x1b[0m\\n" + b"x" * 400_000)
script = store.ingest_bytes(b"#!/bin/sh\\necho hello\\n", executable=True)
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
many = folder_of([(b"entry-%06d" % n, script) for n in range(100_000)])
hostile = folder_of([(b"<img src=x onerror=window.bad=1>", script), (b"\\x1b[2Jcleared", script),
    (b"\\xe2\\x80\\xaetxt.exe", script), (b"\\xff\\xfe", script), (b"n" * 255, script),
    (b"link", SymlinkNode(b"../<b>\\x1b]0;x\\x07"))])
root = folder_of([(b"bin", folder(hello=script)), (b"hostile", hostile), (b"many", many),
    (b"data.json", store.ingest_bytes(json.dumps({"a": [1, None, "<script>"]}).encode())),
    (b"picture.png", store.ingest_bytes(PNG)), (b"page.svg", store.ingest_bytes(b"<svg onload='window.bad=1'></svg>")),
    (b"bytes.bin", store.ingest_bytes(bytes(range(256)) * 40)), (b"notes.txt", text),
    (b"code.py", store.ingest_bytes(b"def answer():\\n    return 42  # why\\n")), (b"zebra", SymlinkNode(b"bin"))])
tree = store.tree(root, b"out")
"""
VIEW = """
from tvixbuild_nb.widgets.tree import tree_forms
from tvixbuild_nb.fs import InputAccess
from tvixbuild_nb.sandbox import Origin, RunTree
forms = tree_forms(RunTree(tree.node, store, b"out", origin=Origin(("hello",), InputAccess(
    looked_up=("bin", "bin/hello"), read={"bin/hello": 21}, opened=("bin/hello",), missing=("bin/absent",)))))
live = forms.live()
live
"""
ACTIVE = ".space .active"


def _walk(view: Locator, *steps: tuple[str, str]) -> None:
    """Press keys, each until the line it leads to has the focus."""
    for key, name in steps:
        view.page.keyboard.press(key)
        expect(view.locator(f"{ACTIVE} .name")).to_have_text(name)


def _open(view: Locator, key: str = "ArrowRight", expanded: str = "true") -> None:
    view.page.keyboard.press(key)
    expect(view.locator(ACTIVE)).to_have_attribute("aria-expanded", expanded)


def _picture(notebook: Notebook, name: str) -> None:
    pane = notebook.view("tree").locator(".pane").first
    pane.evaluate("pane => pane.scrollIntoView({block: 'end'})")
    expect(pane).to_be_in_viewport()
    notebook.picture(name)


def test_walked_through_by_keyboard(lab: Lab) -> None:
    with lab.notebook("tree", SETUP, VIEW) as notebook:
        notebook.run_all()
        view = notebook.view("tree")
        grid = view.get_by_role("treegrid", name="Entries")
        expect(grid).to_have_attribute("aria-rowcount", "12")
        grid.focus()
        _walk(view, ("ArrowDown", "bin"))
        _open(view)
        _walk(view, ("ArrowRight", "hello"))
        active = view.locator(ACTIVE)
        expect(active).to_have_attribute("aria-level", "3")
        expect(active.locator(".c-notes")).to_have_text("read 21 bytes; holds hello")
        expect(view.locator(".space .tr", has_text="bin").first).to_contain_text("holds hello below")
        notebook.picture("open")
        page = notebook.page
        page.keyboard.press("Enter")
        contents = view.locator(".pane [role=region]")
        expect(contents).to_contain_text("echo hello")
        expect(contents.locator(".t-comment")).to_contain_text("#!/bin/sh")
        page.keyboard.press("Escape")
        expect(view.locator(".pane")).to_be_hidden()
        _walk(view, ("ArrowLeft", "bin"))
        _open(view, "ArrowLeft", "false")
        # A hundred thousand entries: opened, to the end and back, found by letters.
        _walk(view, ("m", "many"))
        _open(view)
        _walk(view, ("End", "zebra → bin"), ("ArrowUp", "picture.png"), ("Control+Home", "out"))
        page.keyboard.press("PageDown")
        expect(active).to_have_attribute("aria-rowindex", re.compile("1[0-9]|2[0-9]"))
        grid.evaluate("grid => { grid.scrollTop = grid.scrollHeight / 2; }")
        row = view.locator(".space .tr", has_text="entry-050").first
        expect(row).to_have_attribute("aria-setsize", "100000")
        expect(row).to_have_attribute("aria-level", "3")
        position = int(row.get_attribute("aria-posinset") or 0)
        expect(row.locator(".name")).to_have_text(f"entry-{position - 1:06d}")
        assert view.locator(".space .tr").count() < 60
        notebook.picture("many")
        _walk(view, ("Home", "out"), ("ArrowDown", "bin"), ("m", "many"))
        _open(view, "ArrowLeft", "false")
        page.wait_for_timeout(1000)  # letters typed in one go are one name
        _walk(view, ("h", "hostile"))
        _open(view)
        for name in ("<img src=x onerror", "\\x1b[2Jcleared", "\\u202etxt.exe", "\\xff\\xfe", "n" * 255):
            expect(view.locator(".space .name", has_text=name)).to_have_count(1)
        notebook.picture("hostile")
        assert page.evaluate("window.bad") is None
        _looks_into_files(notebook, view)
        assert notebook.violations("tree") == []
        assert notebook.ask("print(live.faults)") == "[]"


def _looks_into_files(notebook: Notebook, view: Locator) -> None:
    for name, shown in {
        "data.json": "null",
        "page.svg": "<svg onload",
        "bytes.bin": "00000010  10 11",
        "notes.txt": "\\x1b[31mred",
        "code.py": "def answer",
    }.items():
        view.locator(".space .name", has_text=name).click()
        expect(view.locator(".pane [role=region]")).to_contain_text(shown)
        if name in ("data.json", "notes.txt"):
            _picture(notebook, name.partition(".")[0])
    expect(view.locator(".pane .t-keyword").first).to_have_text("def")
    _picture(notebook, "code")
    view.locator(".space .name", has_text="picture.png").click()
    image = view.locator(".pane img")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1


def test_sorted_narrow_and_damaged(lab: Lab) -> None:
    """Sorting keeps what is open and the focus; what cannot be read says so in its line; it fits into 900 pixels."""
    damaged = """
lost = DirectoryNode(Digest.of(b"lost"), 20)
store.tree(folder_of([(b"bin", folder(hello=script, note=text)), (b"empty", folder_of([])), (b"lost", lost),
    (b"a-large", text), (b"gone", FileNode(Digest.of(b"gone"), 7)), (b"z-small", script)]), b"sorted")
"""
    with lab.notebook("tree-sorted", SETUP, damaged) as notebook:
        notebook.page.set_viewport_size({"width": 900, "height": 700})
        notebook.run_all()
        view = notebook.view("tree")
        names = view.locator(".space .name")
        expect(names).to_have_text(["sorted", "bin", "empty", "lost", "a-large", "gone", "z-small"])
        view.locator(".tr", has_text="bin").locator(".twisty").click()
        expect(names.nth(2)).to_have_text("hello")
        view.get_by_role("treegrid").focus()
        _walk(view, ("ArrowDown", "hello"))
        view.get_by_role("button", name="size").click()
        expect(view.get_by_role("columnheader", name="size")).to_have_attribute("aria-sort", "descending")
        expect(names).to_have_text(["sorted", "bin", "note", "hello", "a-large", "z-small", "gone", "empty", "lost"])
        expect(view.locator(f"{ACTIVE} .name")).to_have_text("hello")
        view.get_by_role("button", name="size").click()
        expect(names).to_have_text(["sorted", "lost", "empty", "gone", "z-small", "a-large", "bin", "hello", "note"])
        view.get_by_role("button", name="size").click()
        expect(names.nth(4)).to_have_text("empty")
        view.locator(".tr", has_text="lost").locator(".twisty").click()
        expect(view.locator(".tr", has_text="lost")).to_contain_text("does not hold this directory")
        view.locator(".space .name", has_text="gone").click()
        expect(view.locator(".pane [role=alert]")).to_contain_text("does not hold these contents")
        expect(view.locator(".space .tr", has_text="gone")).to_contain_text("⚠")
        expect(view.locator(".tr", has_text="lost")).to_have_attribute("aria-expanded", "false")
        notebook.picture("damaged")
        assert notebook.violations("tree") == []


def test_a_click_counts_though_the_tree_is_drawn_anew_meanwhile(lab: Lab) -> None:
    with lab.notebook(
        "tree-click", SETUP, "store.tree(folder_of([(b'bin', folder(hello=script))]), b'out')"
    ) as notebook:
        notebook.run_all()
        view = notebook.view("tree")
        twisty = view.locator(".tr", has_text="bin").locator(".twisty")
        expect(twisty).to_have_text("▸")
        twisty.hover()
        notebook.page.mouse.down()
        view.get_by_role("treegrid").evaluate(
            "grid => { grid.dispatchEvent(new Event('scroll'));"
            " return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))); }"
        )
        notebook.page.mouse.up()
        expect(twisty).to_have_text("▾")
        expect(view.locator(".space .name")).to_have_text(["out", "bin", "hello"])


def test_a_run_shows_where_needles_are_and_what_was_touched(lab: Lab) -> None:
    """Outputs marked entry by entry, inputs with the build's accesses, secrets nowhere; a file on its own is shown."""
    build = """
import tempfile
from tvixbuild_nb import Sandbox
needle, token = "n33dle-n33dle", "hunter2-hunter2"
files = tempfile.mkdtemp()
open(files + "/read-me", "w").write("a source")
open(files + "/unused", "w").write("never")
sb = Sandbox(
    "mkdir -p /nix/store/out/deep; cat source/read-me; test -e source/absent; cd /nix/store/out;"
    "echo in $NEEDLE >deep/holds; echo nothing >clean; ln -s /x/$NEEDLE link; echo my $TOKEN >secret-$TOKEN",
    outputs=["nix/store/out"], inputs={"source": files}, working_dir="inputs", inputs_dir="inputs",
    env={"TOKEN": token, "NEEDLE": needle}, secrets=["TOKEN"], refscan_needles=[needle], store=tempfile.mkdtemp())
run = sb.run(show=False)
"""
    cells = (build, 'run.outputs["nix/store/out"]', "run.inputs", 'run.outputs["nix/store/out"] / "deep" / "holds"')
    with lab.notebook("tree-run", *cells) as notebook:
        notebook.run_all()
        outputs, inputs, alone = (notebook.view("tree").nth(index) for index in range(3))
        rows = outputs.locator(".space .tr")
        expect(rows.filter(has_text="deep").locator(".c-notes")).to_have_text("holds n33dle-n33dle below")
        expect(rows.filter(has_text="link →").locator(".c-notes")).to_have_text("holds n33dle-n33dle")
        expect(rows.filter(has_text="clean").locator(".c-notes")).to_have_text("")
        rows.filter(has_text="secret-[secret TOKEN]").locator(".name").click()
        expect(outputs.locator(".pane [role=region]")).to_have_text("my [secret TOKEN]\n")
        expect(outputs.locator(".pane")).to_contain_text("what is downloaded or exported is the file as it is")
        notebook.picture("needles")
        outputs.get_by_label("what holds a needle").check()
        expect(outputs.locator(".space .name")).to_have_text(["link → /x/n33dle-n33dle", "deep/holds"])
        inputs.scroll_into_view_if_needed()
        touched = inputs.locator(".space .tr")
        expect(touched.filter(has_text="read-me").locator(".c-notes")).to_have_text("read 8 bytes")
        unused = touched.filter(has_text="unused")
        expect(unused.locator(".c-notes")).to_have_text("not used")
        expect(unused).to_have_class(re.compile(r"\bunused\b"))
        expect(touched.filter(has_text="read-me")).to_have_class(re.compile(r"\bused\b"))
        touched.filter(has_text="source").locator(".name").click()
        inputs.page.keyboard.press(" ")
        expect(inputs.locator(".pane dl")).to_contain_text("absent")
        notebook.picture("accesses")
        expect(alone.locator(".pane [role=region]")).to_have_text("in n33dle-n33dle\n")
        expect(alone.locator(".c-notes").last).to_have_text("holds n33dle-n33dle")
        assert "hunter2" not in json.dumps(notebook.save()["cells"][1:])
        assert notebook.violations("tree") == []


def test_finds_exports_and_compares(lab: Lab) -> None:
    compared = """
changed = folder_of([(b"bin", folder(hello=text, new=script)), (b"hostile", hostile), (b"many", many)])
tree_diff(tree, store.tree(changed, b"out"))
"""
    with lab.notebook("tree-more", SETUP, VIEW, compared) as notebook:
        notebook.run_all()
        view = notebook.view("tree").first
        page = notebook.page
        view.get_by_role("searchbox").fill("*-09999?")
        view.locator(".space .tr", has_text="many/entry-099990").wait_for()
        view.get_by_role("status").first.filter(has_text="10 found").wait_for()
        notebook.picture("found")
        view.locator(".space .tr", has_text="many/entry-099990").click()
        view.get_by_label("Export to this path").fill("exported-entry")
        view.get_by_role("button", name="Export").click()
        view.get_by_text("exported to exported-entry").wait_for()
        assert notebook.ask("print(open('exported-entry').read())") == "#!/bin/sh\necho hello"
        view.get_by_role("button", name="Export").click()
        view.get_by_text("there is something already").wait_for()
        with page.expect_download() as download:
            view.get_by_role("button", name="Download").click()
        assert download.value.path().read_bytes() == b"#!/bin/sh\necho hello\n"
        code = view.locator(".pane details pre").text_content() or ""
        assert "entry-099990" in notebook.ask(code + "\nprint(tree)")
        second = notebook.view("tree").nth(1)
        second.scroll_into_view_if_needed()
        second.locator(".space .tr.inside", has_text="bin").locator(".twisty").click()
        second.locator(".space .tr.added", has_text="new").wait_for()
        expect(second.locator(".space .tr", has_text="many")).to_have_count(0)
        second.locator(".space .name", has_text="hello").click()
        second.locator(".pane").wait_for()
        notebook.picture("compared")
        second.get_by_label("what is the same, too").check()
        second.locator(".space .tr", has_text="many").wait_for()
        expect(second.get_by_text("what differs: + added, − removed, ~ changed")).to_be_visible()
        # axe takes its time on two views: the second one alone is new here.
        assert notebook.violations("tree") == []


def test_more_lines_than_browsers_have_pixels(lab: Lab) -> None:
    """800,000 lines are 17.6 million pixels: scrolling is scaled, every line can still be reached."""
    huge = "store.tree(folder_of([(b'entry-%06d' % n, script) for n in range(800_000)]), b'huge')"
    with lab.notebook("tree-huge", SETUP, huge) as notebook:
        notebook.run_all()
        view = notebook.view("tree")
        grid = view.get_by_role("treegrid", name="Entries")
        expect(grid).to_have_attribute("aria-rowcount", "800002")
        assert grid.evaluate("grid => grid.scrollHeight") < 15_100_000
        grid.focus()
        _walk(view, ("End", "entry-799999"))
        inside = """() => {
          const [grid, line] = [".grid", ".active"].map((part) => document.querySelector(`.tvixbuild-tree ${part}`));
          const [around, box] = [grid, line].map((part) => part.getBoundingClientRect());
          return around.top < box.top && box.bottom <= around.bottom + 1;
        }"""
        notebook.page.wait_for_function(inside)
        _walk(view, ("ArrowUp", "entry-799998"))
        grid.evaluate("grid => { grid.scrollTop = grid.scrollHeight / 2; }")
        expect(view.locator(".space .name", has_text="entry-400").first).to_be_visible()
        notebook.picture("huge")
        _walk(view, ("Home", "huge"))
