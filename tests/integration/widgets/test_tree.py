"""The tree browser in a real JupyterLab."""

from __future__ import annotations

import pytest

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
    (b"bytes.bin", store.ingest_bytes(bytes(range(256)) * 40)), (b"notes.txt", text), (b"zebra", SymlinkNode(b"bin"))])
tree = store.tree(root, b"out")
"""
VIEW = """
from tvixbuild_nb.widgets.tree import tree_forms
from tvixbuild_nb.fs import InputAccess
forms = tree_forms(tree, needles=["abc-needle"], accesses=InputAccess(looked_up=("bin", "bin/hello"),
    read={"bin/hello": 21}, opened=("bin/hello",), missing=("bin/absent",)))
live = forms.live()
live
"""


def _keys(notebook: Notebook, *keys: str) -> None:
    for key in keys:
        notebook.page.keyboard.press(key)
        notebook.page.wait_for_timeout(120)


def _active(notebook: Notebook) -> str:
    text: str = notebook.page.evaluate(
        """() => {
          const line = document.querySelector(".tvixbuild-tree .grid").getAttribute("aria-activedescendant");
          return document.getElementById(line).querySelector(".name").textContent;
        }"""
    )
    return text


def _picture(notebook: Notebook, name: str) -> None:
    notebook.view("tree").locator(".pane").first.evaluate("pane => pane.scrollIntoView({block: 'end'})")
    notebook.page.wait_for_timeout(200)
    notebook.picture(name)


def test_walked_through_by_keyboard(lab: Lab) -> None:
    with lab.notebook("tree", SETUP, VIEW) as notebook:
        notebook.run_all()
        view = notebook.view("tree")
        view.wait_for()
        page = notebook.page
        grid = view.get_by_role("treegrid", name="Entries")
        assert grid.get_attribute("aria-rowcount") == "11"
        grid.focus()
        _keys(notebook, "ArrowDown", "ArrowRight", "ArrowRight")
        assert _active(notebook) == "hello"
        assert "read 21 bytes" in (view.locator(".active .c-notes").text_content() or "")
        notebook.picture("open")
        _keys(notebook, "Enter")
        view.locator(".pane pre").last.wait_for()
        assert "echo hello" in (view.locator(".pane pre").last.text_content() or "")
        _keys(notebook, "Escape", "ArrowLeft", "ArrowLeft")
        assert _active(notebook) == "bin" and view.locator(".pane").is_hidden()
        # A hundred thousand entries: opened, to the end and back, found by letters.
        _keys(notebook, "m", "ArrowRight", "End")
        assert _active(notebook) == "zebra → bin"
        _keys(notebook, "ArrowUp")
        page.wait_for_timeout(300)
        _keys(notebook, "Home", "PageDown")
        grid.evaluate("grid => { grid.scrollTop = grid.scrollHeight / 2; }")
        page.wait_for_function("!document.querySelector('.tvixbuild-tree [aria-busy]')")
        assert view.locator(".space .tr").count() < 60
        row = view.locator(".space .tr", has_text="entry-050").first
        assert (row.get_attribute("aria-setsize"), row.get_attribute("aria-level")) == ("100000", "3")
        position = int(row.get_attribute("aria-posinset") or 0)
        assert (row.locator(".name").text_content() or "") == f"entry-{position - 1:06d}"
        notebook.picture("many")
        _keys(notebook, "Home", "m", "ArrowLeft")
        page.wait_for_timeout(1000)  # letters typed in one go are one name
        _keys(notebook, "h", "ArrowRight")
        assert _active(notebook) == "hostile"
        view.locator(".space .name", has_text="<img src=x onerror").wait_for()
        view.locator(".space .name", has_text="\\x1b[2Jcleared").wait_for()
        view.locator(".space .name", has_text="\\u202etxt.exe").wait_for()
        notebook.picture("hostile")
        assert page.evaluate("window.bad") is None
        for name, shown in {
            "data.json": "null",
            "picture.png": None,
            "page.svg": "<svg onload",
            "bytes.bin": "00000010  10 11",
            "notes.txt": "\\x1b[31mred",
        }.items():
            view.locator(".space .name", has_text=name).click()
            if shown is None:
                assert view.locator(".pane img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 1
            else:
                view.locator(".pane [role=region]", has_text=shown).wait_for()
            if name == "data.json":
                _picture(notebook, "json")
        _picture(notebook, "text")
        assert notebook.violations("tree") == []
        assert notebook.ask("print(live.faults)") == "[]"


def test_finds_exports_and_compares(light_lab: Lab) -> None:
    compared = """
changed = folder_of([(b"bin", folder(hello=text, new=script)), (b"hostile", hostile), (b"many", many)])
tree_diff(tree, store.tree(changed, b"out"))
"""
    with light_lab.notebook("tree-more", SETUP, VIEW, compared) as notebook:
        notebook.run_all()
        view = notebook.view("tree").first
        view.wait_for()
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
        assert second.locator(".space .tr", has_text="many").count() == 0
        second.locator(".space .name", has_text="hello").click()
        second.locator(".pane").wait_for()
        notebook.picture("compared")
        second.get_by_label("what is the same, too").check()
        second.locator(".space .tr", has_text="many").wait_for()
        # axe takes its time on two views: the second one alone is new here.
        assert notebook.violations("tree") == []


def test_more_lines_than_browsers_have_pixels(light_lab: Lab) -> None:
    """800,000 lines are 17.6 million pixels: scrolling is scaled, every line can still be reached."""
    huge = "store.tree(folder_of([(b'entry-%06d' % n, script) for n in range(800_000)]), b'huge')"
    with light_lab.notebook("tree-huge", SETUP, huge) as notebook:
        notebook.run_all()
        view = notebook.view("tree")
        view.wait_for()
        grid = view.get_by_role("treegrid", name="Entries")
        assert grid.evaluate("grid => grid.scrollHeight") < 15_100_000
        grid.focus()
        _keys(notebook, "End")
        notebook.page.wait_for_function("!document.querySelector('.tvixbuild-tree [aria-busy]')")
        assert _active(notebook) == "entry-799999"
        box, line = grid.bounding_box(), view.locator(".active").bounding_box()
        assert box is not None and line is not None
        assert box["y"] < line["y"] and line["y"] + line["height"] <= box["y"] + box["height"] + 1
        _keys(notebook, "ArrowUp", "PageUp")
        middle = "grid => { grid.scrollTop = grid.scrollHeight / 2; }"
        grid.evaluate(middle)
        view.locator(".space .name", has_text="entry-400").first.wait_for()
        _keys(notebook, "e")
        notebook.picture("huge")
        _keys(notebook, "Home")
        assert _active(notebook) == "huge"
