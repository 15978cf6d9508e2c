"""Answers to questions about builds in one notebook: live, saved and untrusted, converted and without scripts."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator, Page, Playwright, expect

from support.lab import Lab, Notebook, axe
from support.static import page_of, static_violations, without_scripts

pytestmark = pytest.mark.integration
EVIL = "<img src=x onerror=window.bad=1>"
SETUP = rf"""
import os, tempfile
os.environ["TVIXBUILD_NB_STATE"] = tempfile.mkdtemp()
from tvixbuild_nb import Sandbox
from tvixbuild_nb.castore import open_castore
evil = "{EVIL}\x1b[2J\u202e"
store = open_castore(tempfile.mkdtemp())
files = {{name: os.path.join(tempfile.mkdtemp(), name) for name in ("used", "spare")}}
for name, path in files.items():
    open(path, "w").write(name)
script = r'''
hostname >/build/first; sleep 0.1; mkdir -p /nix/store/out/lib; cd /nix/store/out
cat /inputs/used >"$NAME"; echo "colour $COLOUR" | tee lib/settings; echo first >>lib/settings
echo "my $TOKEN" >token; printf 'a\0b\377%s' "$COLOUR" >lib/table; ln -s /$COLOUR/n33dle link
echo "see /nix/store/n33dle/lib" >lib/needle; hostname >host
'''
def sandbox(**env):
    return Sandbox(
        script, outputs=["nix/store/out"], inputs=files, inputs_dir="inputs", store=store, secrets=["TOKEN"],
        env={{"NAME": evil, "COLOUR": "red", "TOKEN": "hunter2-hunter2", **env}}, refscan_needles=["n33dle"])
sb, other = sandbox(), sandbox(COLOUR="green", MORE=evil, TOKEN="hunter3-hunter3")
one, two = sb.run(show=False), other.run(show=False, keep="always")
"""
DERIVATIONS = """
from tvixbuild_nb.nix import Derivation, InputAddressed, StorePath
from tvixbuild_nb.nix.compare import derivation_diff
def derivation(flags):
    return Derivation(
        name="tool", outputs={"out": InputAddressed(StorePath(b"x" * 20, "tool"))}, system=b"x86_64-linux",
        builder=b"/bin/sh", args=(b"-e", b"build.sh"), env={b"CFLAGS": flags, b"evil": evil.encode()})
derivation_diff(derivation(b"-O2 -g"), derivation(b"-O3 -g"))
"""
PASTED = r"""
from tvixbuild_nb.debug.pasted import explain_pasted
explain_pasted([b"building\ncp <b>a</b>\n\x1b[31merror\x1b[0m: write error: No space left on device\n"])
"""
CELLS = (
    "one.diff(two)",
    "sandbox().request.replace(working_dir='').diff(sb.request)",
    "one.spec.diff(two.spec)",
    DERIVATIONS,
    "sb.check(2, ['hostname', 'timezone'])",
    "sb.minimize()",
    "two.why('n33dle')",
    "two.exec('cat lib/needle 2>/dev/null || ls -l /nix/store/out; echo $TOKEN; exit 3')",
    "one.script()",
    PASTED,
    "one.accesses",
)
DIFF, REQUEST, SPEC, DERIVATION, CHECK, MINIMIZE, WHY, EXEC, SCRIPT, EXPLAINED, ACCESSES = range(len(CELLS))
FAULTS = """
from ipywidgets.widgets.widget import _instances
print([fault for view in _instances.values() for fault in getattr(view, "faults", [])])
"""


def test_every_answer_shows_itself_live_saved_and_converted(lab: Lab, playwright: Playwright, tmp_path: Path) -> None:
    with lab.notebook("answers", SETUP, *CELLS) as notebook:
        notebook.page.set_viewport_size({"width": 1280, "height": 5200})
        notebook.run_all()
        outputs = notebook.page.locator(".jp-Cell-outputWrapper .jp-OutputArea-output")
        expect(outputs).to_have_count(len(CELLS), timeout=90_000)
        _look(outputs)
        _open_trees(notebook, outputs)
        notebook.picture("all")
        found = [text for theme in notebook.themes() for text in axe(notebook.page, ".jp-OutputArea-output")]
        assert found == []
        assert notebook.ask(FAULTS) == "[]"
        notebook.ask("two.delete()")
        saved = notebook.save()
        _is_clean(notebook.page, json.dumps(saved["cells"][1:]))
    # As a file from elsewhere is: not what this server signed, and no kernel knows its widgets.
    saved["metadata"]["author"] = "somebody else"
    with lab.opened("answers-untrusted", saved) as again:
        again.page.set_viewport_size({"width": 1280, "height": 5200})
        outputs = again.page.locator(".jp-Cell-outputWrapper .jp-OutputArea-output")
        expect(outputs).to_have_count(len(CELLS))
        _look(outputs)
        again.picture("untrusted")
        _is_clean(again.page, "")
    path = page_of(nbformat.reads(json.dumps(saved), as_version=4), tmp_path)
    with without_scripts(playwright, path) as page:
        outputs = page.locator(".jp-OutputArea-output")
        expect(outputs).to_have_count(len(CELLS))
        expect(outputs.locator("img, script, style, svg, iframe")).to_have_count(0)
        _look(outputs)
    assert static_violations(playwright, path, ".jp-OutputArea-output") == []


def _look(outputs: Locator) -> None:
    """What each answer says, in whatever form."""
    diff = outputs.nth(DIFF)
    for text in ("~ environment_vars[COLOUR]", "+ environment_vars[MORE]", EVIL, "process.env[COLOUR]", "log, line 1"):
        expect(diff).to_contain_text(text)
    lines = diff.locator("div[style*='background']")
    expect(lines.filter(has_text="-colour red").first).to_be_visible()
    expect(lines.filter(has_text="+colour green").first).to_be_visible()
    expect(diff).to_contain_text("~ link (symlink: /red/n33dle -> /green/n33dle)")
    expect(diff).to_contain_text("in or beside what is secret: not shown")
    expect(outputs.nth(REQUEST)).to_contain_text("~ working_dir")
    expect(outputs.nth(SPEC)).to_contain_text("process.env[COLOUR]")
    expect(outputs.nth(DERIVATION)).to_contain_text("~ env[CFLAGS]-O2 -g-O3 -g")
    check = outputs.nth(CHECK)
    expect(check.locator("tr", has_text="hostname")).to_contain_text("yes")
    expect(check.locator("tr", has_text="timezone")).to_contain_text("no")
    expect(check).to_contain_text("the first that differs is /build/first, an intermediate file")
    expect(check).to_contain_text("likely the hostname")
    expect(check.locator("div[style*='background']", has_text="+otherhost").first).to_be_visible()
    expect(outputs.nth(MINIMIZE).locator("tr", has_text="spare")).to_contain_text("can go")
    why = outputs.nth(WHY)
    expect(why.locator("tr", has_text="lib/needle").locator("b")).to_have_text("n33dle")
    expect(why.locator("tr", has_text="link")).to_contain_text("target of the symlink")
    executed = outputs.nth(EXEC)
    for text in ("status 3", "[secret TOKEN]", "its config.json differs"):
        expect(executed).to_contain_text(text)
    expect(outputs.nth(SCRIPT)).to_contain_text("it asks for the values of TOKEN")
    expect(outputs.nth(EXPLAINED)).to_contain_text("is full (likely)")
    expect(outputs.nth(ACCESSES)).to_contain_text("1 of 2 inputs were never used")


def _open_trees(notebook: Notebook, outputs: Locator) -> None:
    """The outputs of both runs open as trees by the keyboard, without secrets."""
    line = outputs.nth(DIFF).locator(".tvixbuild-below summary")
    expect(line).to_have_text("both trees side by side: nix/store/out")
    line.focus()
    notebook.page.keyboard.press("Enter")
    tree = outputs.nth(DIFF).locator(".tvixbuild-tree")
    expect(tree.locator(".space .tr", has_text="lib").first).to_be_visible()
    expect(tree.locator(".space .changed").first).to_be_visible()
    tree.locator(".space .name", has_text="token").first.click()
    expect(tree.locator(".pane")).to_contain_text("The two differ only in what is not shown.")


def _is_clean(page: Page, text: str) -> None:
    assert (
        "hunter" not in text and "hunter" not in page.locator(".jp-Notebook").inner_text().partition("one.diff(two)")[2]
    )
    assert "\x1b" not in text and page.evaluate("window.bad") is None
