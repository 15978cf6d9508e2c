"""The request form's inputs and contents of files: from where they come, renamed, replaced, never damaged."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.form_page import Page, wait
from tvixbuild_nb import Sandbox, open_castore
from tvixbuild_nb.build import DummyBuild, DummyBuildService
from tvixbuild_nb.castore import FileNode, Node
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.widgets.form import form_forms
from tvixbuild_nb.widgets.form.contents import MAX_FILE

SECRET = "hunter2-hunter2"


def _sandbox(**fields: Any) -> Sandbox:
    return Sandbox(**{"command": "true", "outputs": ["nix/store/o"], "store": "memory:", **fields})


def _last(page: Page, text: str) -> bool:
    return bool(page.told()) and page.told()[-1]["text"] == text


@pytest.fixture
def page() -> Page:
    return Page(_sandbox())


# -- where inputs come from -----------------------------------------------------------------------


def test_a_path_of_this_host(page: Page, tmp_path: Path) -> None:
    sandbox = page.sandbox
    (tmp_path / "source").write_text("hello")
    page.call("add_path", path=str(tmp_path / "source"))
    wait(lambda: _last(page, "added source"))
    assert sandbox.origin("source") == str(tmp_path / "source")
    assert page.parts["inputs"]["rows"][0]["kind"] == "file"
    for wrong in ({"path": str(tmp_path / "none")}, {"path": str(tmp_path), "name": "a/b"}, {"path": ""}):
        with pytest.raises(ValueError):
            page.call("add_path", **wrong)
    with pytest.raises(ValueError, match=r"there is an input 'source' already.*another name"):
        page.call("add_path", path=str(tmp_path / "source"))
    page.call("remove", field="inputs", number=page.number("inputs"))
    assert dict(sandbox.inputs) == {} and page.view.faults == []


def test_a_path_that_cannot_be_stored_says_why(page: Page, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    page.call("add_path", path=str(tmp_path / "pipe"))
    wait(lambda: page.told() and page.told()[-1]["wrong"])
    assert "pipe" in page.told()[-1]["text"] and dict(page.sandbox.inputs) == {}


def test_a_digest_of_the_store(page: Page) -> None:
    sandbox = page.sandbox
    node = sandbox.store.ingest_bytes(b"some program")
    page.call("add_digest", digest=f" {node.digest} ", name="program", executable=True)
    wait(lambda: _last(page, "added program"))
    assert sandbox.inputs["program"] == FileNode(node.digest, 12, True)
    assert "by its digest" in (sandbox.origin("program") or "")
    page.call("add_digest", digest="0" * 64, name="none")
    wait(lambda: page.told()[-1]["wrong"])
    assert "neither a directory nor a blob" in page.told()[-1]["text"] and "none" not in sandbox.inputs
    page.call("add_digest", digest="xyz", name="none")
    wait(lambda: "not a digest in hex" in page.told()[-1]["text"])
    with pytest.raises(ValueError, match="a name in the build is needed"):
        page.call("add_digest", digest=str(node.digest))


def test_a_text(page: Page) -> None:
    page.call("add_text", text="#!/bin/sh\nécho\n", name="script", executable=True)
    wait(lambda: _last(page, "added script"))
    node = page.sandbox.inputs["script"]
    assert isinstance(node, FileNode) and node.executable
    assert page.sandbox.store.tree(node).read_text() == "#!/bin/sh\nécho\n"
    assert page.sandbox.origin("script") == "16 bytes typed into the form"


def test_an_output_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TVIXBUILD_NB_STATE", str(tmp_path))
    castore = open_castore("memory:")

    def script(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
        return {path: build.castore.ingest_bytes(path.encode()) for path in request.outputs}

    outputs = ["nix/store/one", f"nix/store/{SECRET}"]
    builder = DummyBuildService(castore, script)
    sandbox = _sandbox(store=castore, builder=builder, outputs=outputs, env={"T": SECRET}, secrets=["T"])
    run = sandbox.run(show=False)
    page = Page(_sandbox(store=castore, builder=builder))
    page.sandbox.run(show=False)
    found = page.call("run_outputs")
    assert [entry["path"] for entry in found] == ["nix/store/o", "nix/store/[secret T]", "nix/store/one"]
    assert SECRET not in json.dumps(page.heard)
    (mine,) = [entry for entry in found if entry["run"] == page.sandbox.history()[0].id]
    page.call("add_output", run=mine["run"], index=mine["index"])
    wait(lambda: _last(page, "added o"))
    assert page.faults() == [("outputs", page.number("outputs")), ("inputs", None)], (
        "an input and an output of the same path"
    )
    page.call("edit", field="inputs", number=page.number("inputs"), text="before")
    assert page.sandbox.inputs["before"] == page.sandbox.history()[0].outputs["nix/store/o"].node
    assert page.sandbox.origin("before") == f"output nix/store/o of run {mine['run']}"
    run.record.path.joinpath("result.json").write_text("{")
    assert [entry["path"] for entry in page.call("run_outputs")] == ["nix/store/o"]
    assert page.view.faults == []


# -- their names ----------------------------------------------------------------------------------


def test_a_rename_goes_into_the_sandbox_with_node_and_origin() -> None:
    sandbox = _sandbox(inputs={"a": b"1", "b": b"2"})
    page = Page(sandbox)
    number = page.number("inputs")
    node, origin = sandbox.inputs["a"], sandbox.origin("a")
    page.call("edit", field="inputs", number=number, text="z")
    assert sandbox.inputs["z"] == node and sandbox.origin("z") == origin and "a" not in sandbox.inputs
    assert page.number("inputs") == number, "a row stays where it is while its name is typed"
    page.call("edit", field="inputs", number=number, text="b")
    assert {row for _, row in page.faults()} == {number, page.number("inputs", 1)} and "z" in sandbox.inputs
    page.call("edit", field="inputs", number=number, text="x/y")
    assert page.faults() == [("inputs", number)]
    page.call("edit", field="inputs", number=page.number("inputs", 1), text="c")
    page.call("edit", field="inputs", number=number, text="b")
    assert dict(sandbox.inputs) == {"b": node, "c": sandbox.inputs["c"]} and page.faults() == []
    sandbox.inputs["d"] = node
    page.call("edit", field="system", text="i686-linux")
    assert [row["key"]["value"] for row in page.parts["inputs"]["rows"]] == ["b", "c", "d"]
    page.call("edit", field="inputs", number=number, text="")
    page.call("revert")
    assert page.faults() == [] and page.view.faults == []


# -- contents that are no text --------------------------------------------------------------------


@given(st.dictionaries(st.text("abc", min_size=1), st.binary(max_size=40) | st.text(max_size=10), max_size=4))
def test_no_edit_elsewhere_damages_a_file(files: dict[str, bytes | str]) -> None:
    named = {f"build/{name}": contents for name, contents in files.items()}
    sandbox = _sandbox(additional_files={**named, "build/other": "x"})
    page = Page(sandbox)
    page.call("edit", field="system", text="i686-linux")
    number = next(r["number"] for r in page.parts["additional_files"]["rows"] if r["key"]["value"] == "build/other")
    page.call("edit", field="additional_files", number=number, text="new")
    page.call("edit", field="additional_files", number=number, part="key", text="build/renamed")
    page.call("remove", field="additional_files", number=page.call("add", field="additional_files"))
    assert dict(sandbox.additional_files) == {**named, "build/renamed": "new"}


def test_contents_come_from_a_file_of_this_host(tmp_path: Path) -> None:
    sandbox = _sandbox(additional_files={"build/f": b"\xff"})
    page = Page(sandbox)
    number = page.number("additional_files")
    data = bytes(range(256)) * 10
    (tmp_path / "file").write_bytes(data)
    page.call("file_from_path", number=number, path=str(tmp_path / "file"))
    assert sandbox.additional_files["build/f"] == data
    shown = page.parts["additional_files"]["rows"][0]["cell"]
    assert shown["size"] == 2560 and len(shown["hex"]) == 4 and shown["hex"][3].endswith("0123456789:;<=>?")
    os.mkfifo(tmp_path / "pipe")
    os.truncate(os.open(tmp_path / "large", os.O_CREAT | os.O_WRONLY), MAX_FILE + 1)
    for name, words in (("pipe", "no regular"), (".", "director"), ("none", "No such file"), ("large", "larger than")):
        with pytest.raises(ValueError, match=words):
            page.call("file_from_path", number=number, path=str(tmp_path / name))
    with pytest.raises(ValueError, match="gone from the form"):
        page.call("file_from_path", number=999, path=str(tmp_path / "file"))
    assert sandbox.additional_files["build/f"] == data and page.view.faults == []


def test_contents_are_uploaded_in_pieces() -> None:
    sandbox = _sandbox(additional_files={"build/f": "old"})
    page = Page(sandbox)
    number = page.number("additional_files")
    page.call("file_piece", b"\x00" * 10, number=number, at=0, last=False)
    page.call("file_piece", b"one", number=number, at=0, last=False)
    assert sandbox.additional_files["build/f"] == "old", "not before the last piece"
    with pytest.raises(ValueError, match="byte 3 was expected, not 7"):
        page.call("file_piece", b"xx", number=number, at=7, last=True)
    page.call("file_piece", b"\xff\x00", number=number, at=3, last=True)
    assert sandbox.additional_files["build/f"] == b"one\xff\x00"
    page.call("file_piece", number=number, at=0, last=True)
    assert sandbox.additional_files["build/f"] == b""


def test_binary_contents_with_a_secret_show_nothing_of_it() -> None:
    sandbox = _sandbox(
        env={"TOKEN": SECRET}, secrets=["TOKEN"], additional_files={"build/f": b"\xff" + SECRET.encode()}
    )
    page, bundle = Page(sandbox), form_forms(sandbox).bundle()
    cell = page.parts["additional_files"]["rows"][0]["cell"]
    assert cell["shown"] == "" and "hex" not in cell and "secret" in cell["why"]
    hexed = SECRET[:8].encode().hex(" ")
    for text in (json.dumps(page.heard), json.dumps(bundle)):
        assert SECRET not in text and hexed not in text
    assert "os.environb[b'TOKEN']" in page.parts["request"]["code"]


def test_a_secret_in_another_guise_is_hidden_from_the_code_and_said_so() -> None:
    import base64

    guise = base64.b64encode(SECRET.encode()).decode()
    page = Page(_sandbox(env={"TOKEN": SECRET}, secrets=["TOKEN"], refscan_needles=[guise]))
    code = page.parts["request"]["code"]
    assert guise not in code and code.startswith("# A secret's value stands here in another guise")
