"""The request form without a browser: draft, faults, data, static and text forms, calls of the live one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given

from support.form_page import Page, wait
from support.request_strategies import requests
from tvixbuild_nb import Sandbox
from tvixbuild_nb.display import mimebundle, register
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.widgets.form import form_forms
from tvixbuild_nb.widgets.form.data import MAX_ROWS, form_data
from tvixbuild_nb.widgets.form.draft import Draft
from tvixbuild_nb.widgets.form.faults import faults_of
from tvixbuild_nb.widgets.form.static import form_html

HOSTILE = ["<img src=x onerror=alert(1)>", "\x1b]0;title\x07\x1b[2J", "\u202egpj.exe", "x" * 255, "a\r\nb", "a\rb"]


def _sandbox(**fields: Any) -> Sandbox:
    return Sandbox(**{"command": "true", "outputs": ["nix/store/o"], "store": "memory:", **fields})


def _said(draft: Draft) -> dict[str, str]:
    return {fault.field: fault.message for fault in faults_of(draft)}


# -- the draft ------------------------------------------------------------------------------------


@given(requests())
def test_a_valid_request_has_no_fault_and_is_written_as_it_is(request: BuildRequest) -> None:
    sandbox = Sandbox.from_request(request, store="memory:")
    draft = Draft(sandbox)
    assert faults_of(draft) == ()
    assert draft.write(sandbox) == frozenset()
    for name in ("command", "outputs", "env"):
        draft.set_rows(name, draft.value(name))
    assert sandbox.request.digest == request.digest
    json.dumps(form_data(sandbox), ensure_ascii=False).encode("utf-8")


def test_every_row_is_judged_for_itself() -> None:
    draft = Draft(_sandbox())
    draft.set_rows("outputs", ["nix/store/a", "elsewhere", "nix/store/b", "/x"])
    draft.set_rows("scratch_paths", ["nix/store", "a//b"])
    numbers = [row.number for row in draft.rows["outputs"]]
    found = [(fault.field, fault.row) for fault in faults_of(draft)]
    assert found == [
        ("outputs", numbers[1]),
        ("outputs", numbers[3]),
        ("scratch_paths", draft.rows["scratch_paths"][1].number),
    ]


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        (lambda d: d.set_rows("command", []), "command", "a command is needed"),
        (lambda d: d.set_rows("command", [""]), "command", "must not be empty"),
        (lambda d: d.set_rows("env", [("A", "1"), ("A", "2")]), "env", "occurs twice"),
        (lambda d: d.set_rows("env", [("A=", "1")]), "env", "holds a '='"),
        (lambda d: d.set_rows("env", [("A", b"\xff")]), "env", "not UTF-8"),
        (lambda d: d.set_rows("outputs", ["build/x", "build/x"]), "outputs", "occurs twice"),
        (lambda d: d.set_rows("additional_files", [("../x", b"")]), "additional_files", "not clean"),
        (lambda d: d.set_rows("refscan_needles", [""]), "refscan_needles", "empty"),
        (lambda d: d.set_rows("available_ro_paths", ["etc"]), "available_ro_paths", "not absolute"),
        (lambda d: d.scalars.update(working_dir="/x"), "working_dir", "not relative"),
        (lambda d: d.scalars.update(inputs_dir="a/../b"), "inputs_dir", "not clean"),
        (lambda d: d.scalars.update(system=""), "system", "must name a system"),
        (lambda d: d.scalars.update(min_memory="much"), "min_memory", "whole number of bytes"),
        (lambda d: d.scalars.update(min_memory=str(2**64)), "min_memory", "between 0 and"),
    ],
)
def test_the_rule_is_told_in_words_at_its_field(change: Callable[[Draft], None], field: str, words: str) -> None:
    draft = Draft(_sandbox())
    change(draft)
    assert words in _said(draft)[field]


def test_an_output_at_an_inputs_path_is_a_fault_of_the_output() -> None:
    sandbox = _sandbox(inputs={"in": b"x"})
    draft = Draft(sandbox)
    draft.set_rows("outputs", ["nix/store/in"])
    assert "is an input's path" in _said(draft)["outputs"]


def test_both_sides_change_and_neither_is_lost() -> None:
    sandbox = _sandbox(env={"A": "1"})
    draft = Draft(sandbox)
    draft.set_rows("outputs", ["nowhere"])
    number = draft.rows["env"][0].number
    sandbox.env["B"] = "2"
    sandbox.system = "i686-linux"
    assert draft.take(sandbox) == {"env", "system"}
    assert draft.value("outputs") == ("nowhere",)
    assert [row.number for row in draft.rows["env"]][0] == number
    draft.set_rows("outputs", ["build/x"])
    assert draft.write(sandbox) == {"outputs"}
    assert (sandbox.outputs, dict(sandbox.env), sandbox.system) == (("build/x",), {"A": "1", "B": "2"}, "i686-linux")


def test_rows_keep_their_numbers_around_a_change() -> None:
    draft = Draft(_sandbox(command=["a", "b", "c", "d"]))
    before = [row.number for row in draft.rows["command"]]
    draft.set_rows("command", ["a", "new", "B", "c", "d"])
    after = [row.number for row in draft.rows["command"]]
    assert (after[0], after[1], after[3:]) == (before[0], before[1], before[2:])
    assert len(set(after)) == 5


def test_what_is_of_a_wrong_type_is_shown_and_told() -> None:
    sandbox = _sandbox()
    sandbox.command = "echo"  # type: ignore[assignment]
    sandbox.min_memory = "x"  # type: ignore[assignment]
    sandbox.env["N"] = 5  # type: ignore[assignment]
    data = form_data(sandbox)
    assert {fault["field"] for fault in data["faults"]} == {"min_memory", "env"}
    assert data["request"]["digest"] is None and data["request"]["trouble"]


# -- what is shown --------------------------------------------------------------------------------


def test_hostile_text_is_shown_and_harmless() -> None:
    sandbox = _sandbox(env=dict.fromkeys(["A", *HOSTILE], "v"), refscan_needles=HOSTILE, inputs={HOSTILE[0]: b"x"})
    sandbox.add_file("build/f", b"\xff\x00\x1b")
    sandbox.inputs["\udcff"] = sandbox.inputs[HOSTILE[0]]
    data = form_data(sandbox)
    json.dumps(data, ensure_ascii=False).encode("utf-8")
    page = str(form_html(data))
    plain = mimebundle_text(sandbox)
    for shown in (page, plain):
        assert "\x1b" not in shown and "\u202e" not in shown and "\r" not in shown and "\x07" not in shown
    assert "<img" not in page and "&lt;img" in page
    cells = [row["cell"] for row in data["refscan_needles"]["rows"]]
    assert [cell["value"] for cell in cells] == [*HOSTILE[:4], "a\nb", None]
    assert [cell.get("odd") for cell in cells] == [False, True, True, False, True, None]
    assert cells[4]["windows"] and cells[5]["why"] == "holds a carriage return"
    raw = data["additional_files"]["rows"][0]["cell"]
    assert (raw["why"], raw["size"]) == ("not text", 3)
    assert raw["hex"] == [f"0000  {'ff 00 1b':<47}  ..."] and raw["hex"][0] in page


def mimebundle_text(sandbox: Sandbox) -> str:
    return str(form_forms(sandbox).bundle()["text/plain"])


def test_secrets_are_in_no_form() -> None:
    value = "hunter2-hunter2"
    sandbox = _sandbox(
        command=f"curl -H {value} x", env={"TOKEN": value, "URL": f"https://{value}@x"}, secrets=["TOKEN"]
    )
    data = form_data(sandbox)
    bundle = form_forms(sandbox).bundle()
    page = Page(sandbox)
    for text in (json.dumps(data), json.dumps(bundle), json.dumps(page.heard), json.dumps(page.view.get_state())):
        assert value not in text
    assert data["env"]["rows"][0]["cell"] == {"value": None, "shown": "••••••••", "secret": True}
    assert "os.environ['TOKEN']" in data["request"]["code"]
    page.call("edit", field="env", number=page.number("env"), text="another-secret")
    assert sandbox.env["TOKEN"] == "another-secret"
    assert "another-secret" not in json.dumps(page.heard)
    page.call("edit", field="env", number=page.number("env"), text="abc")
    assert page.faults() == [("env", None)] and sandbox.env["TOKEN"] == "another-secret"


def test_long_lists_and_large_texts_are_bounded() -> None:
    sandbox = _sandbox(env={f"V{i}": "x" for i in range(5000)})
    sandbox.add_file("build/large", b"x" * 10_000_000)
    data = form_data(sandbox)
    assert (len(data["env"]["rows"]), data["env"]["hidden"]) == (MAX_ROWS, 5000 - MAX_ROWS)
    assert "larger than" in data["additional_files"]["rows"][0]["cell"]["why"]
    assert len(json.dumps(data)) < 100_000
    assert len(str(form_html(data))) < 100_000


def test_the_static_form_holds_every_field_and_the_code() -> None:
    page = str(form_html(form_data(_sandbox(env={"A": "b"}, inputs={"in": b"xyz"}, min_memory=77))))
    for text in ("Environment variables", "3 B", "3 bytes given in Python", "77", "nix/store/o", "sb = Sandbox("):
        assert text in page
    assert "<style" not in page and "<script" not in page


def test_an_invalid_sandbox_says_so_in_every_form() -> None:
    sandbox = Sandbox()
    bundle = form_forms(sandbox).bundle()
    assert "a command is needed" in bundle["text/html"] and "a command is needed" in bundle["text/plain"]


def test_a_sandbox_shows_itself_as_the_form() -> None:
    register(Sandbox, lambda sandbox: form_forms(sandbox).bundle())
    sandbox = _sandbox()
    assert sandbox.edit() is sandbox
    assert "Build request" in mimebundle(sandbox)["text/plain"]


# -- the live form --------------------------------------------------------------------------------


def test_valid_goes_into_the_sandbox_at_once_and_invalid_stays_in_the_form() -> None:
    sandbox = _sandbox()
    page = Page(sandbox)
    number = page.number("outputs")
    page.call("edit", field="outputs", number=number, text="nowhere")
    assert page.faults() == [("outputs", number)] and sandbox.outputs == ("nix/store/o",)
    page.call("edit", field="system", text="i686-linux")
    assert sandbox.system == "i686-linux", "every field is judged by itself"
    page.call("edit", field="outputs", number=number, text="build/o")
    assert page.faults() == [] and (sandbox.outputs, sandbox.system) == (("build/o",), "i686-linux")
    assert page.parts["request"]["digest"] == str(sandbox.request.digest)
    assert page.view.faults == []


JUNK = "../..//badé 'x"


def test_every_field_is_in_the_sandbox_or_said_to_be_wrong() -> None:
    sandbox = _sandbox(env={"TOKEN": "hunter2-hunter2"}, secrets=["TOKEN"], inputs={"in": b"x"})
    page = Page(sandbox)
    variable = page.number("env")
    for name in ("working_dir", "inputs_dir", "system", "min_memory"):
        page.call("edit", field=name, text=JUNK)
    for name in ("inputs", "outputs", "scratch_paths"):
        page.call("edit", field=name, number=page.number(name), text=JUNK)
    page.call("edit", field="env", number=variable, part="key", text=JUNK)
    page.call("edit", field="env", number=variable, text="junk-of-a-secret")
    wrong = {field for field, _ in page.faults()}
    assert wrong == {"working_dir", "inputs_dir", "min_memory", "inputs", "outputs", "scratch_paths"}
    assert (sandbox.system, dict(sandbox.env), sandbox.secrets) == (JUNK, {JUNK: "junk-of-a-secret"}, (JUNK,))
    assert page.parts["env"]["rows"][0]["cell"]["secret"] and "junk-of-a-secret" not in json.dumps(page.heard)
    said = {fault["field"]: fault["message"] for fault in page.parts["faults"]}
    assert said["inputs"] == f"a name holds neither '/' nor NUL: {JUNK!r}"
    assert said["min_memory"] == f"{JUNK!r} is not a whole number of bytes"


def test_a_secret_stays_hidden_whatever_its_variable_is_called_meanwhile() -> None:
    sandbox = _sandbox(env={"A": "plain", "TOKEN": "hunter2-hunter2"}, secrets=["TOKEN"])
    page = Page(sandbox)
    plain, secret = page.number("env"), page.number("env", 1)
    page.call("edit", field="env", number=secret, part="key", text="T=")
    page.call("edit", field="env", number=secret, text="another-secret")
    assert page.faults() == [("env", secret)] and sandbox.env["TOKEN"] == "hunter2-hunter2"
    page.call("edit", field="env", number=secret, part="key", text="T")
    assert page.faults() == [] and (dict(sandbox.env)["T"], sandbox.secrets) == ("another-secret", ("T",))
    assert "another-secret" not in json.dumps(page.heard) and "another-secret" not in repr(sandbox.env)
    # Another variable that has the name for a moment takes nothing from it.
    page.call("edit", field="env", number=plain, part="key", text="T")
    page.call("edit", field="env", number=plain, part="key", text="T2")
    assert (dict(sandbox.env), sandbox.secrets) == ({"T2": "plain", "T": "another-secret"}, ("T",))
    assert [row["cell"].get("secret") for row in page.parts["env"]["rows"]] == [None, True]


def test_what_would_break_the_sandbox_waits_and_says_so() -> None:
    sandbox = _sandbox(scratch_paths=["nix/store"])
    page = Page(sandbox)
    page.call("edit", field="scratch_paths", number=page.number("scratch_paths"), text="work")
    output = page.number("outputs")
    assert page.faults() == [("outputs", output), ("scratch_paths", None)]
    assert "outputs must be put right first" in page.parts["faults"][1]["message"]
    assert sandbox.scratch_paths == ("nix/store",) and page.parts["request"]["digest"]
    page.call("edit", field="outputs", number=output, text="work/o")
    assert page.faults() == [] and (sandbox.scratch_paths, sandbox.outputs) == (("work",), ("work/o",))


def test_what_python_changed_a_moment_before_an_edit_is_not_lost() -> None:
    sandbox = _sandbox()
    page = Page(sandbox)
    sandbox.env["NEW"] = "x"
    page.call("edit", field="system", text="i686-linux")
    assert page.parts["env"]["rows"][0]["key"]["value"] == "NEW"
    assert (dict(sandbox.env), sandbox.system) == ({"NEW": "x"}, "i686-linux")


def test_rows_are_added_and_removed() -> None:
    sandbox = _sandbox(command=["a", "c"])
    page = Page(sandbox)
    added = page.call("add", field="command", after=page.number("command"))
    page.call("edit", field="command", number=added, text="b")
    assert sandbox.command == ("a", "b", "c")
    page.call("remove", field="command", number=page.number("command", 2))
    assert sandbox.command == ("a", "b")
    number = page.call("add", field="env")
    assert page.faults() == [("env", number)]
    page.call("edit", field="env", number=number, part="key", text="K")
    page.call("edit", field="env", number=number, text="v")
    assert dict(sandbox.env) == {"K": "v"}
    page.call("edit", field="constrained", text=False)
    assert sandbox.request.constraints is None
    page.call("edit", field="min_memory", text="12x")
    page.call("edit", field="constrained", text=True)
    assert page.faults() == [("min_memory", None), ("constrained", None)] and sandbox.constraints is None
    page.call("revert")
    assert page.faults() == []


def test_an_empty_command_becomes_one_of_the_shell() -> None:
    sandbox = Sandbox(store="memory:")
    page = Page(sandbox)
    page.call("shell")
    page.call("edit", field="command", number=page.number("command", 2), text="echo hi")
    assert page.parts["shell"] and sandbox.command == ("/bin/sh", "-c", "echo hi")


def test_changes_in_python_are_pushed_and_only_what_changed() -> None:
    sandbox = _sandbox()
    page = Page(sandbox)
    page.heard.clear()
    sandbox.env["NEW"] = "x"
    wait(lambda: page.heard)
    (told,) = page.heard
    assert set(told["value"]) == {"env", "request"}
    assert page.parts["env"]["rows"][0]["key"]["value"] == "NEW"
    page.view.close()
    page.heard.clear()
    sandbox.env["LATER"] = "x"
    time.sleep(0.5)
    assert page.heard == []


def test_a_form_with_faults_does_not_run() -> None:
    page = Page(_sandbox())
    page.call("edit", field="system", text="")
    with pytest.raises(ValueError, match="put right"):
        page.call("start")


def test_run_starts_the_build() -> None:
    sandbox = _sandbox(builder="dummy:")
    run_id = Page(sandbox).call("start")
    assert sandbox.last_run is not None and sandbox.last_run.id == run_id
    sandbox.last_run.wait()
