"""Sandbox: fields, defaults, errors, previews, saving; all without a runtime."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from tvixbuild_nb import Sandbox, SpecOptions, open_castore
from tvixbuild_nb.build import host_system
from tvixbuild_nb.castore import FileNode
from tvixbuild_nb.errors import HostRefused, IngestError, InvalidRequest


def _sandbox(**fields: object) -> Sandbox:
    return Sandbox("true", store="memory:", **fields)


def test_the_defaults_are_the_documented_ones() -> None:
    request = _sandbox().request
    assert request.command_args == ("/bin/sh", "-c", "true")
    assert (request.working_dir, request.scratch_paths, request.inputs_dir) == (
        "build",
        ("build", "nix/store"),
        "nix/store",
    )
    assert request.constraints is not None
    assert (request.constraints.system, request.constraints.provide_bin_sh) == (host_system(), True)
    assert not request.constraints.network_access


def test_every_field_is_a_keyword_and_an_attribute() -> None:
    fields: dict[str, object] = {
        "outputs": ("nix/store/x",),
        "env": {"A": "b"},
        "additional_files": {"build/f": b"x"},
        "working_dir": "nix",
        "scratch_paths": ("build", "nix/store", "other"),
        "inputs_dir": "in",
        "refscan_needles": ("n",),
        "system": "i686-linux",
        "min_memory": 5,
        "available_ro_paths": ("/etc",),
        "network_access": True,
        "provide_bin_sh": False,
    }
    sandbox = _sandbox(**fields)
    for name, value in fields.items():
        assert getattr(sandbox, name) == value
    sandbox.command = ["a", "b"]
    sandbox.outputs = ["nix/store/y"]
    sandbox.env["C"] = b"d"
    request = sandbox.request
    assert (request.command_args, request.outputs) == (("a", "b"), ("nix/store/y",))
    assert dict(request.environment_vars) == {"A": b"b", "C": b"d"}
    assert request.constraints is not None and request.constraints.min_memory == 5


def test_a_wrong_field_is_refused_with_a_hint() -> None:
    with pytest.raises(InvalidRequest, match="env"):
        _sandbox(environment_vars={})
    with pytest.raises(InvalidRequest) as caught:
        _sandbox(outptus=[])
    assert caught.value.path == "outptus" and "'outputs'" in (caught.value.hint or "")
    with pytest.raises(InvalidRequest) as caught:
        _sandbox(outputs="nix/store/x")
    assert caught.value.path == "outputs" and "['nix/store/x']" in (caught.value.hint or "")
    with pytest.raises(InvalidRequest) as caught:
        _ = _sandbox(outputs=["somewhere/else"]).request
    assert (caught.value.path, caught.value.index) == ("outputs", 0)


def test_inputs_are_paths_bytes_trees_and_nodes(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "f").write_text("hello")
    sandbox = _sandbox(inputs={"text": b"bytes"})
    node = sandbox.add_input("path", tmp_path / "dir")
    sandbox.add_input("text path", str(tmp_path / "dir" / "f"))
    sandbox.add_input("node", node)
    elsewhere = open_castore(tmp_path / "store")
    tree = elsewhere.tree(elsewhere.ingest(tmp_path / "dir"), b"x")
    assert sandbox.add_input("tree", tree) == node
    assert isinstance(sandbox.inputs["text"], FileNode)
    assert (sandbox.store.tree(sandbox.inputs["tree"]) / "f").read_text() == "hello"
    assert sorted(sandbox.request.inputs) == ["node", "path", "text", "text path", "tree"]


def test_previews_need_no_store_and_agree_with_each_other() -> None:
    sandbox = Sandbox("true", outputs=["nix/store/x"], store="file:/nowhere/at/all", builder="oci:/nowhere")
    config = json.loads(sandbox.config_json())
    assert config == sandbox.spec.to_dict()
    table = sandbox.mount_table()
    assert [row.destination for row in table] == [mount["destination"] for mount in config["mounts"]]
    sandbox.options = SpecOptions.tvix()
    assert json.loads(sandbox.config_json())["process"]["terminal"] is True


def test_saved_and_loaded_is_the_same_request(tmp_path: Path) -> None:
    sandbox = _sandbox(outputs=["nix/store/x"], env={"A": "b"}, refscan_needles=["q", "p"], inputs={"i": b"x"})
    sandbox.add_file("build/f", "text")
    sandbox.save(tmp_path / "x.json")
    loaded = Sandbox.load(tmp_path / "x.json", store="memory:")
    assert loaded.request == sandbox.request
    assert loaded.request.digest == sandbox.request.digest
    bare = sandbox.request.replace(constraints=None)
    assert Sandbox.from_request(bare).request == bare
    assert pickle.loads(pickle.dumps(bare)) == bare


def test_a_host_program_needs_its_own_places() -> None:
    with pytest.raises(InvalidRequest, match="where the host has it") as caught:
        _sandbox().add_host_program("sh")
    assert caught.value.path == "inputs_dir" and "inputs_dir=''" in (caught.value.hint or "")
    with pytest.raises(HostRefused, match="no-such-program"):
        _sandbox(inputs_dir="").add_host_program("no-such-program")


def test_an_input_that_is_not_there_is_an_error_at_once() -> None:
    with pytest.raises(IngestError, match="/absent/path"):
        _sandbox().add_input("x", "/absent/path")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"env": ["A=b"]}, "env"),
        ({"options": {"limits": {}}}, "options"),
        ({"additional_files": "x"}, "additional_files"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_at_once(fields: dict[str, object], path: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        _sandbox(**fields)
    assert caught.value.path == path


def test_a_misspelt_attribute_is_not_swallowed() -> None:
    sandbox = _sandbox()
    with pytest.raises(InvalidRequest, match="outptus"):
        sandbox.outptus = ["nix/store/x"]
    sandbox.store, sandbox.builder = "memory:", "dummy:"
    assert sandbox.builder.address == "dummy:"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("a/b", b"x", "one path component"), ("a", 5, "not int"), ("a", "hello", "contents are bytes")],
)
def test_an_input_that_cannot_be_one_is_refused_at_once(name: str, value: object, said: str) -> None:
    with pytest.raises((InvalidRequest, IngestError)) as caught:
        _sandbox().add_input(name, value)
    assert said in str(caught.value)


def test_deviations_tell_ours_from_the_users() -> None:
    sandbox = _sandbox(options=SpecOptions(hostname="other"))
    names = [deviation.name for deviation in sandbox.deviations()]
    assert "terminal" in names and any("hostname" in name for name in names)


def test_a_command_that_is_set_as_one_text_is_run_by_a_shell_as_one_that_is_given() -> None:
    sandbox = Sandbox(["true"], store="memory:")
    sandbox.command = "gcc -o x x.c"  # type: ignore[assignment]
    assert sandbox.request.command_args == Sandbox("gcc -o x x.c", store="memory:").request.command_args
