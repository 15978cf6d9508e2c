"""The request form in a real JupyterLab."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from support.lab import Lab, Notebook

pytestmark = pytest.mark.integration
SETUP = """
from tvixbuild_nb import Sandbox
sb = Sandbox("echo one", outputs=["nix/store/out"], secrets=["TOKEN"], store="memory:", builder="dummy:")
sb.env = {"PLAIN": "x", "TOKEN": "hunter2-hunter2", "BAD": "<img src=x onerror=alert(1)>\\u202egpj"}
sb.additional_files = {"build/f": "a\\nb\\n", "build/raw": b"\\xff"}
sb.add_input("in <b>", b"xyz")
sb
"""
FAULTS = """
from ipywidgets.widgets.widget import _instances
print([fault for view in _instances.values() for fault in getattr(view, "faults", [])])
"""


def test_two_ways(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "source").write_text("hello")
    with lab.notebook("form", SETUP) as notebook:
        notebook.run_all()
        view = notebook.view("form")
        view.get_by_text("valid: the sandbox has it").wait_for()
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
        view.get_by_label("Memory at least").fill("lots")
        notebook.picture("wrong")
        assert notebook.violations("form") == []
        view.get_by_label("Memory at least").fill("1000")
        output.fill("build/o")
        expect(view.get_by_text("valid: the sandbox has it")).to_be_visible()
        assert notebook.ask("print(sb.outputs, sb.min_memory)") == "('build/o',) 1000"

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
        expect(view.locator("details pre")).to_contain_text("echo two; echo one")
        assert notebook.ask("print(sb.command[2])") == "echo two; echo one"

        secret = view.get_by_label("value of variable 2")
        assert (secret.get_attribute("type"), secret.input_value()) == ("password", "")
        secret.fill("another-secret")
        secret.blur()
        view.get_by_label("Path on this host").fill(str(tmp_path / "source"))
        view.get_by_role("button", name="Add input").click()
        expect(view.get_by_role("cell", name=str(tmp_path / "source"), exact=True)).to_be_visible()
        contents = view.get_by_label("contents of file 1")
        contents.fill("new\ntext\n")
        contents.blur()
        expect(view.get_by_text("valid: the sandbox has it")).to_be_visible()
        notebook.page.wait_for_timeout(500)
        assert notebook.ask("print(sb.env['TOKEN'], sorted(sb.inputs), sb.additional_files['build/f'])") == (
            "another-secret ['in <b>', 'source'] new\ntext"
        )
        code = view.locator("details pre").inner_text()
        assert (
            notebook.ask(
                f"import os; os.environ['TOKEN'] = 'another-secret'; made = {{}}; exec({code!r}, made); "
                "print(made['sb'].request.digest == sb.request.digest)"
            )
            == "True"
        )
        notebook.picture("filled")

        view.get_by_role("button", name="Run").click()
        expect(view.get_by_text("started run")).to_be_visible()
        assert notebook.ask("print(sb.last_run.id)") in view.inner_text()
        saved = str(notebook.save())
        assert "another-secret" not in saved and saved.count("hunter2-hunter2") == 1, (
            "in the cell that was typed, nowhere else"
        )
        notebook.reload()
        expect(view.get_by_label("output 1", exact=True)).to_have_value("build/o")
        assert notebook.ask(FAULTS) == "[]"


def test_by_keyboard_alone(light_lab: Lab) -> None:
    with light_lab.notebook("form-keys", SETUP) as notebook:
        notebook.run_all()
        view = notebook.view("form")
        view.get_by_text("valid: the sandbox has it").wait_for()
        keys = notebook.page.keyboard
        view.get_by_role("button", name="Run").focus()
        seen = _walk(notebook, 45)
        for label in (
            "Arguments",
            "Script, run by /bin/sh -c",
            "name of variable 1",
            "value of variable 3",
            "Add variable",
            "remove input in <b>",
            "Working directory",
            "Add output",
            "contents of file 1",
            "With constraints",
            "A shell at /bin/sh",
            "Add needle",
            "Copy",
        ):
            assert label in seen, f"{label!r} is not reached by Tab: {seen}"

        view.get_by_role("button", name="Arguments", exact=True).focus()
        keys.press("Enter")
        third = view.get_by_label("argument 3", exact=True)
        third.focus()
        keys.press("End")
        keys.press("Enter")
        expect(view.get_by_label("argument 4", exact=True)).to_be_focused()
        keys.type("dd x")  # two d outside of an input delete the cell
        expect(view.locator("details pre")).to_contain_text("'dd x'")
        assert notebook.ask("print(sb.command)") == "('/bin/sh', '-c', 'echo one', 'dd x')"
        expect(view.get_by_role("button", name="Shell script")).to_be_disabled()
        keys.press("Tab")
        keys.press("Enter")
        expect(view.get_by_label("remove argument 3")).to_be_focused()
        assert notebook.ask("print(sb.command)") == "('/bin/sh', '-c', 'echo one')"
        assert notebook.ask(FAULTS) == "[]"


def _walk(notebook: Notebook, steps: int) -> list[str]:
    seen = []
    for _ in range(steps):
        notebook.page.keyboard.press("Tab")
        seen.append(
            str(
                notebook.page.evaluate(
                    "(() => { const e = document.activeElement; "
                    "return e.getAttribute('aria-label') ?? e.labels?.[0]?.textContent ?? e.textContent; })()"
                )
            )
        )
    return seen
