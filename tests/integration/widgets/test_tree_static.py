"""Trees in a notebook that was converted to a page, in Chromium without scripts."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Playwright, expect

from support.static import converted, static_violations, without_scripts

pytestmark = pytest.mark.integration
ARTEFACTS = Path(__file__).parents[3] / "test-artefacts"
SETUP = """
from tvixbuild_nb.castore import *
from tvixbuild_nb.fs import InputAccess
from tvixbuild_nb.request import Redactor
from tvixbuild_nb.sandbox import Origin, RunTree
store = open_castore("memory:")
def folder(pairs):
    made = Directory(pairs)
    return DirectoryNode(store.directories.put(made), made.size)
script = store.ingest_bytes(b"#!/bin/sh\\n<script>window.bad = 1</script>\\n", executable=True)
hostile = folder([(b"<img src=x onerror=alert(1)>", script), (b"\\x1b[2Jcleared", script), (b"\\xff\\xfe", script),
    (b"\\xe2\\x80\\xaetxt.exe", script), (b"n" * 255, script), (b"link", SymlinkNode(b"../<b>\\x1b]0;x\\x07")),
    (b"of-hunter2-hunter2", script)])
many = folder([(b"file-%04d" % n, script) for n in range(1_000)])
root = folder([(b"hostile", hostile), (b"many", many), (b"lost", DirectoryNode(Digest.of(b"lost"), 4))])
access = InputAccess(listed=("hostile",), missing=("hostile/absent",))
known = Origin(("abc",), access, Redactor({"T": "hunter2-hunter2"}))
"""
CELLS = (
    SETUP,
    'RunTree(root, store, b"out", origin=known)',
    'store.tree(script, b"script")',
    'tree_diff(store.tree(folder([(b"gone", script)]), b"a"), store.tree(folder([(b"new", script)]), b"a"))',
    'store.tree(folder([]), b"void")',
)


def test_converted_and_read_without_scripts(playwright: Playwright, tmp_path: Path) -> None:
    path = converted(tmp_path, *CELLS)
    with without_scripts(playwright, path) as page:
        outputs = page.locator(".jp-OutputArea-output")
        tree = outputs.nth(0)
        expect(tree).to_contain_text("holds abc below")
        hidden = tree.get_by_text("\\x1b[2Jcleared")
        expect(hidden).to_be_hidden()  # folded
        tree.locator("summary", has_text="hostile/").click()
        expect(hidden).to_be_visible()
        names = ("<img src=x onerror=alert(1)>", "\\xff\\xfe", "\\u202etxt.exe", "n" * 255, "../<b>\\x1b]0;x\\x07")
        for text in (*names, "of-[secret T]", "looked for in vain: absent"):
            expect(tree).to_contain_text(text)
        assert outputs.locator("img, script, style, svg, b").count() == 0
        tree.locator("summary", has_text="many/").click()
        # Five hundred entries in all: 3 above, 7 hostile ones, and as many of these as are left.
        expect(tree).to_contain_text("file-0489")
        expect(tree).not_to_contain_text("file-0490")
        expect(tree).to_contain_text("510 more, not shown")
        expect(tree).to_contain_text("500 entries are shown")
        tree.locator("summary", has_text="lost/").click()
        expect(tree).to_contain_text("does not hold this directory")
        page.screenshot(path=ARTEFACTS / "tree-static.png", full_page=False)
        expect(outputs.nth(1)).to_contain_text("<script>window.bad = 1</script>")
        expect(outputs.nth(2)).to_contain_text("− gone")
        expect(outputs.nth(2)).to_contain_text("+ new")
        expect(outputs.nth(3)).to_contain_text("empty")
        assert "hunter2" not in "".join(outputs.all_text_contents())
    assert static_violations(playwright, path, ".jp-OutputArea-output") == []
