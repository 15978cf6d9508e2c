"""The request form in a real JupyterLab."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from support.lab import Lab, Notebook

pytestmark = pytest.mark.integration
SETUP = """
import os, tempfile
os.environ["TVIXBUILD_NB_STATE"] = tempfile.mkdtemp()
from tvixbuild_nb import Sandbox, open_castore
from tvixbuild_nb.build import DummyBuildService
store = open_castore("memory:")
builder = DummyBuildService(store, lambda request, build: {p: store.ingest_bytes(b"made") for p in request.outputs})
sb = Sandbox("echo one", outputs=["nix/store/out"], secrets=["TOKEN"], store=store, builder=builder)
sb.env = {"PLAIN": "x", "TOKEN": "hunter2-hunter2", "BAD": "<img src=x onerror=alert(1)>\\u202egpj"}
sb.additional_files = {"build/f": "a\\nb\\n", "build/raw": bytes(range(200, 256)) * 2}
sb.add_input("in <b>", b"xyz")
sb
"""
FAULTS = """
from ipywidgets.widgets.widget import _instances
print([fault for view in _instances.values() for fault in getattr(view, "faults", [])])
"""
VALID = "valid: the sandbox has it"


def opened(notebook: Notebook) -> Locator:
    """The form, once it shows the sandbox."""
    notebook.run_all()
    view = notebook.view("form")
    view.get_by_text(VALID).wait_for()
    return view


def said(notebook: Notebook, code: str, text: str) -> None:
    """Wait until the kernel prints this: what the page does comes there a moment later."""
    notebook.until(lambda: notebook.ask(f"print({code})") == text)


def test_two_ways(lab: Lab) -> None:
    with lab.notebook("form", SETUP) as notebook:
        view = opened(notebook)
        notebook.picture("first")
        assert "hunter2" not in view.inner_html()
        assert view.locator("img").count() == 0

        output = view.get_by_label("output 1", exact=True)
        output.fill("elsewhere")
        expect(output).to_have_attribute("aria-invalid", "true")
        told = view.locator(f"#{output.get_attribute('aria-describedby')}")
        expect(told).to_contain_text("does not lie below a scratch path")
        expect(view.get_by_role("button", name="Run")).to_be_disabled()
        assert notebook.ask("print(sb.outputs)") == "('nix/store/out',)"
        memory = view.get_by_label("Memory at least")
        memory.fill("lots")
        expect(memory).to_have_attribute("aria-invalid", "true")
        notebook.picture("wrong")
        assert notebook.violations("form") == []
        memory.fill("1000")
        output.fill("build/o")
        said(notebook, "sb.outputs, sb.min_memory", "('build/o',) 1000")
        expect(view.get_by_text(VALID)).to_be_visible()

        # What Python changes appears, and the cursor of the field that is being edited stays.
        script = view.get_by_label("Script, run by /bin/sh -c")
        script.focus()
        notebook.page.keyboard.press("Control+Home")
        notebook.page.keyboard.type("ec")
        notebook.ask("sb.env['FROM_PYTHON'] = 'yes'; sb.refscan_needles = ['needle']")
        expect(view.get_by_label("name of variable 4")).to_have_value("FROM_PYTHON")
        expect(view.get_by_label("needle 1", exact=True)).to_have_value("needle")
        notebook.page.keyboard.type("ho two; ")
        expect(script).to_have_value("echo two; echo one")
        expect(view.locator("details pre").last).to_contain_text("echo two; echo one")
        said(notebook, "sb.command[2]", "echo two; echo one")

        secret = view.get_by_label("value of variable 2")
        assert (secret.get_attribute("type"), secret.input_value()) == ("password", "")
        secret.fill("another-secret")
        contents = view.get_by_label("contents of file 1", exact=True)
        contents.fill("new\ntext\n")
        said(notebook, "sb.env['TOKEN'], sb.additional_files['build/f']", "another-secret new\ntext")
        expect(view.get_by_text(VALID)).to_be_visible()
        code = view.locator("details pre").last.inner_text()
        made = f"made = {{}}; os.environ['TOKEN'] = 'another-secret'; exec({code!r}, made)"
        assert notebook.ask(f"{made}; print(made['sb'].request == sb.request)") == "True"

        view.get_by_role("button", name="Run").click()
        started = view.get_by_text("started run")
        expect(started).to_be_visible()
        expect(started).to_contain_text(notebook.ask("print(sb.last_run.id)"))
        saved = str(notebook.save())
        assert "another-secret" not in saved
        assert saved.count("hunter2-hunter2") == 1, "in the cell that was typed, nowhere else"
        notebook.reload()
        expect(view.get_by_label("output 1", exact=True)).to_have_value("build/o")
        assert notebook.ask(FAULTS) == "[]"


def test_junk_is_said_where_it_stands(lab: Lab) -> None:
    junk = "../..//badé 'x"
    with lab.notebook("form-junk", SETUP) as notebook:
        view = opened(notebook)
        for label in ("name of variable 2", "value of variable 2", "System", "Memory at least", "name of input 1"):
            view.get_by_label(label).fill(junk)
        said(
            notebook,
            "sb.system, sb.env['BAD'] != sb.env[sb.secrets[0]], sb.secrets == (sb.system,)",
            f"{junk} True True",
        )
        said(notebook, "sb.env[sb.secrets[0]]", junk)
        expect(view.get_by_text("in the sandbox: ")).to_have_text(
            "not valid, and so not in the sandbox: memory, inputs"
        )
        expect(view.get_by_label("value of variable 2")).to_have_attribute("type", "password")
        expect(view.get_by_text("a name holds neither")).to_contain_text("badé")
        script = view.get_by_label("Script, run by /bin/sh -c")

        def height() -> float:
            box = script.bounding_box()
            return box["height"] if box else 0.0

        low = height()
        script.fill("echo a long line; " * 60)
        notebook.until(lambda: height() > 1.5 * low)
        script.fill("\n".join(f"echo {i}" for i in range(10)))
        notebook.until(lambda: 2 * low < height() < 300)
        notebook.picture("junk")
        script.fill("\n".join(f"echo {i}" for i in range(200)))
        notebook.until(lambda: 300 < height() < 700)
        assert notebook.violations("form") == []
        assert notebook.ask(FAULTS) == "[]"


def test_inputs_and_contents_from_everywhere(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "source").write_text("hello")
    (tmp_path / "upload").write_bytes(bytes(range(256)) * 5000)
    with lab.notebook("form-inputs", SETUP) as notebook:
        view = opened(notebook)
        kind, name = view.get_by_label("Add", exact=True), view.get_by_label("Name in the build")
        button = view.get_by_role("button", name="Add input")
        view.get_by_label("Path on this host").fill(str(tmp_path / "source"))
        button.click()
        expect(view.get_by_role("cell", name=str(tmp_path / "source"), exact=True)).to_be_visible()

        digest = notebook.ask("print(sb.store.ingest_bytes(b'in the store').digest)")
        kind.select_option("digest")
        view.get_by_label("Digest, or its beginning").fill(digest)
        button.click()
        expect(view.get_by_text("a name in the build is needed")).to_be_visible()
        name.fill("stored")
        button.click()
        expect(view.get_by_role("cell", name="by its digest")).to_be_visible()

        run = notebook.ask("print(sb.run(show=False).id)")
        kind.select_option("output")
        choice = view.get_by_label("Output", exact=True)
        expect(choice.get_by_role("option")).to_have_count(1)
        expect(choice).to_contain_text(f"nix/store/out of {run}")
        name.fill("before")
        button.click()
        expect(view.get_by_role("cell", name=f"output nix/store/out of run {run}")).to_be_visible()

        kind.select_option("text")
        view.get_by_label("Text", exact=True).fill("echo hi\n")
        name.fill("script")
        view.get_by_label("executable").check()
        notebook.picture("adding")
        button.click()
        expect(view.get_by_role("cell", name="executable file")).to_be_visible()
        said(notebook, "sorted(sb.inputs)", "['before', 'in <b>', 'script', 'source', 'stored']")

        first = view.get_by_label("name of input 1")
        expect(first).to_have_value("in <b>")
        first.fill("source")
        expect(first).to_have_attribute("aria-invalid", "true")
        expect(view.get_by_text("several inputs have this name").first).to_be_visible()
        first.fill("renamed")
        said(notebook, "sorted(sb.inputs)", "['before', 'renamed', 'script', 'source', 'stored']")

        # Contents that are no text: seen, left alone, replaced.
        expect(view.get_by_label("beginning of the contents of file 2")).to_contain_text("0000  c8 c9 ca")
        expect(view.get_by_label("contents of file 2", exact=True)).to_be_hidden()
        view.get_by_label("replace the contents of file 2").click()
        notebook.picture("contents")
        assert notebook.violations("form") == []
        said(notebook, "sb.additional_files['build/raw'] == bytes(range(200, 256)) * 2", "True")
        with notebook.page.expect_file_chooser() as chooser:
            view.get_by_label("with an upload").nth(1).click()
        chooser.value.set_files(tmp_path / "upload")
        expect(view.get_by_text("uploaded upload (1.3 MB)")).to_be_visible()
        said(notebook, "sb.additional_files['build/raw'] == bytes(range(256)) * 5000", "True")
        view.get_by_label("with a file of this host").nth(1).fill(str(tmp_path / "source"))
        view.get_by_role("button", name="Take").click()
        expect(view.get_by_label("contents of file 2", exact=True)).to_have_value("hello")
        notebook.page.set_viewport_size({"width": 900, "height": 900})
        notebook.picture("narrow")
        notebook.page.set_viewport_size({"width": 1280, "height": 900})
        assert notebook.ask(FAULTS) == "[]"


FIELDS = (
    "Arguments", "Shell script", "Script, run by /bin/sh -c", "name of variable 1", "value of variable 3",
    "remove variable 3", "Add variable",  "name of input 1", "copy digest of in <b>", "remove input in <b>", "Add",
    "Path on this host", "Name in the build", "Add input", "Working directory", "Directory of the inputs",
    "scratch path 1", "Add scratch path", "output 1", "Add output", "path of file 1", "contents of file 1",
    "replace the contents of file 1", "path of file 2", "type the contents of file 2 anew", "Add file",
    "With constraints", "System", "Memory at least, in bytes", "Network access", "A shell at /bin/sh", "Add path",
    "Add needle", "Copy", "Python that makes this request",
)  # fmt: skip
FOCUSED = """() => {
  const found = document.activeElement;
  return found.getAttribute("aria-label") ?? found.labels?.[0]?.textContent ?? found.textContent;
}"""


def to(notebook: Notebook, label: str, *, key: str = "Tab", most: int = 90) -> list[str]:
    """Press ``key`` until the field of that label has the focus; what was passed."""
    passed: list[str] = []
    while not passed or passed[-1] != label:
        assert len(passed) < most, f"{label!r} is not reached: {passed}"
        notebook.page.keyboard.press(key)
        passed.append(str(notebook.page.evaluate(FOCUSED)).strip())
    return passed


def test_by_keyboard_alone(lab: Lab) -> None:
    with lab.notebook("form-keys", SETUP) as notebook:
        view, keys = opened(notebook), notebook.page.keyboard
        view.get_by_role("button", name="Run").focus()
        seen = to(notebook, "Copy")
        assert [label for label in FIELDS if label not in seen] == []

        # A variable is added, wrong at first; the way to it is by keys, and so is the mending.
        to(notebook, "Add variable", key="Shift+Tab")
        keys.press("Enter")
        fourth = view.get_by_label("name of variable 4")
        expect(fourth).to_be_focused()
        keys.type("A=B")
        expect(fourth).to_have_attribute("aria-invalid", "true")
        expect(view.get_by_role("button", name="Run")).to_be_disabled()
        keys.press("Backspace")
        keys.press("Backspace")
        keys.press("Enter")
        expect(view.get_by_label("value of variable 4")).to_be_focused()
        keys.type("dd x")  # two d outside of an input delete the cell
        said(notebook, "dict(sb.env)['A']", "dd x")
        expect(fourth).not_to_have_attribute("aria-invalid", "true")
        keys.press("Tab")
        keys.press("Space")
        expect(view.get_by_label("remove variable 3")).to_be_focused()
        said(notebook, "'A' in sb.env", "False")

        # Arguments: Enter begins the next, removing goes on to what is left.
        to(notebook, "Arguments", key="Shift+Tab")
        keys.press("Enter")
        expect(view.get_by_label("argument 3", exact=True)).to_be_visible()
        to(notebook, "argument 3")
        keys.press("Enter")
        expect(view.get_by_label("argument 4", exact=True)).to_be_focused()
        keys.type("more")
        said(notebook, "sb.command", "('/bin/sh', '-c', 'echo one', 'more')")
        expect(view.get_by_role("button", name="Shell script")).to_be_disabled()
        keys.press("Tab")
        keys.press("Enter")
        expect(view.get_by_label("remove argument 3")).to_be_focused()
        said(notebook, "sb.command", "('/bin/sh', '-c', 'echo one')")

        # An input of text, by keys; then it is renamed, and taken away.
        to(notebook, "Add")
        keys.type("a text")
        expect(view.get_by_label("Text", exact=True)).to_be_visible()
        to(notebook, "Text")
        keys.type("hello")
        to(notebook, "Name in the build")
        keys.type("note")
        keys.press("Enter")
        expect(view.get_by_label("name of input 2")).to_have_value("note")
        to(notebook, "name of input 2", key="Shift+Tab")
        keys.press("End")
        keys.type("s")
        said(notebook, "sorted(sb.inputs)", "['in <b>', 'notes']")
        to(notebook, "remove input notes")
        keys.press("Enter")
        expect(view.get_by_label("remove input in <b>")).to_be_focused()
        said(notebook, "sorted(sb.inputs)", "['in <b>']")

        # What is no text is typed anew, and nothing is lost before the first key.
        to(notebook, "type the contents of file 2 anew")
        keys.press("Enter")
        expect(view.get_by_label("contents of file 2", exact=True)).to_be_focused()
        said(notebook, "len(sb.additional_files['build/raw'])", "112")
        keys.type("text")
        said(notebook, "sb.additional_files['build/raw']", "text")
        to(notebook, "Network access")
        keys.press("Space")
        said(notebook, "sb.network_access", "True")
        assert notebook.ask(FAULTS) == "[]"
