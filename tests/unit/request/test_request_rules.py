"""Every rule of a build request: what breaks it is refused, with field and position."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pydantic
import pytest

from tvixbuild_nb.castore import Digest, DirectoryNode, FileNode
from tvixbuild_nb.errors import InvalidRequest
from tvixbuild_nb.request import BuildConstraints, BuildRequest

NODE = FileNode(Digest.of(b"hello"), 5)
DIRECTORY = DirectoryNode(Digest.of(b""), 0)


def request(**changes: Any) -> BuildRequest:
    fields: dict[str, Any] = {"command_args": ["/bin/sh"], "scratch_paths": ["build", "nix/store"]}
    return BuildRequest(**{**fields, **changes})


def refused(field: str | None, index: int | None, **changes: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        request(**changes)
    assert (caught.value.path, caught.value.index) == (field, index)
    assert not isinstance(caught.value, pydantic.ValidationError)
    return str(caught.value)


BAD_PATHS = [
    "/a",
    "a/",
    "a//b",
    "./a",
    "a/.",
    "a/./b",
    "../a",
    "a/..",
    "a/../b",
    ".",
    "..",
    "/",
    "//",
    "a\0b",
    "\udcff",
]


@pytest.mark.parametrize("path", [*BAD_PATHS, 7, None, b"a"])
def test_unclean_relative_paths(path: Any) -> None:
    refused("working_dir", None, working_dir=path)
    refused("inputs_dir", None, inputs_dir=path)
    refused("scratch_paths", 1, scratch_paths=["ok", path])
    refused("outputs", 1, outputs=["build/ok", path])
    refused("additional_files", 1, additional_files={"ok": b"", path: b""})


@pytest.mark.parametrize("path", ["a", "", "/a/", "//a", "/a//b", "/a/.", "/../a", "/a\0"])
def test_unclean_absolute_paths(path: str) -> None:
    refused("constraints.available_ro_paths", 1, constraints={"system": "x", "available_ro_paths": ["/ok", path]})


def test_empty_paths_only_where_the_root_is_meant() -> None:
    assert request(working_dir="", inputs_dir="").working_dir == ""
    refused("scratch_paths", 0, scratch_paths=[""])
    refused("outputs", 0, outputs=[""])
    refused("additional_files", 0, additional_files={"": b""})


@pytest.mark.parametrize("command", [[], ()])
def test_an_empty_command(command: Any) -> None:
    refused("command_args", None, command_args=command)


def test_a_command_that_is_one_text() -> None:
    assert "command_args=['/bin/sh -c true']" in refused("command_args", None, command_args="/bin/sh -c true")


@pytest.mark.parametrize("argument", ["a\0", 1, None, b"x", "\ud800"])
def test_arguments(argument: Any) -> None:
    refused("command_args", 1, command_args=["/bin/sh", argument])


def test_an_empty_program_but_not_an_empty_argument() -> None:
    refused("command_args", 0, command_args=[""])
    assert request(command_args=["a", ""]).command_args == ("a", "")


def test_duplicates() -> None:
    refused("scratch_paths", 2, scratch_paths=["b", "a", "b"])
    refused("outputs", 1, outputs=["build/x", "build/x"])
    refused("refscan_needles", 1, refscan_needles=["x", "x"])
    refused("inputs", 1, inputs=[("a", NODE), ("a", DIRECTORY)])
    refused("environment_vars", 1, environment_vars=[("a", "1"), ("a", "2")])
    refused("additional_files", 1, additional_files=[("a", "1"), ("a", "2")])
    refused("constraints.available_ro_paths", 1, constraints={"system": "x", "available_ro_paths": ["/a", "/a"]})
    assert request(command_args=["a", "a"]).command_args == ("a", "a")


@pytest.mark.parametrize("output", ["build", "other/x", "buildx/y", "nix", "nix/storex"])
def test_outputs_lie_strictly_below_a_scratch_path(output: str) -> None:
    assert "scratch" in refused("outputs", 1, outputs=["build/ok", output])


def test_an_output_that_is_a_nested_scratch_path_is_below_the_outer_one() -> None:
    assert request(scratch_paths=["build", "build/sub"], outputs=["build/sub"]).outputs == ("build/sub",)


def test_no_output_at_an_inputs_path() -> None:
    refused("outputs", 0, outputs=["nix/store/x"], inputs_dir="nix/store", inputs={"x": NODE})
    assert request(outputs=["nix/store/x"], inputs_dir="other", inputs={"x": NODE}).outputs
    refused("outputs", 0, outputs=["a/b"], scratch_paths=["a"], inputs_dir="a", inputs={"b": NODE})


@pytest.mark.parametrize("key", ["", "A=B", "=", "A\0", 1, b"A"])
def test_environment_keys(key: Any) -> None:
    refused("environment_vars", 1, environment_vars={"OK": "", key: ""})


@pytest.mark.parametrize("value", [b"\xff", "a\0", b"a\0", 1, None, "\udcff"])
def test_environment_values(value: Any) -> None:
    refused("environment_vars", 1, environment_vars={"OK": "", "A": value})


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0", "x" * 256, b"\xff", 3, "\ud800"])
def test_input_names(name: Any) -> None:
    refused("inputs", 1, inputs={"ok": NODE, name: NODE})


def test_inputs_are_nodes() -> None:
    assert "add_input" in refused("inputs", 0, inputs={"a": "/path"})


def test_needles() -> None:
    refused("refscan_needles", 1, refscan_needles=["a", ""])
    refused("refscan_needles", None, refscan_needles="abc")
    assert request(refscan_needles=["b", "a"]).refscan_needles == ("b", "a")


def test_constraints() -> None:
    refused("constraints.system", None, constraints={})
    refused("constraints.system", None, constraints={"system": 3})
    refused("constraints.min_memory", None, constraints={"system": "x", "min_memory": -1})
    refused("constraints.min_memory", None, constraints={"system": "x", "min_memory": 2**64})
    refused("constraints.min_memory", None, constraints={"system": "x", "min_memory": True})
    refused("constraints.network_access", None, constraints={"system": "x", "network_access": 1})
    refused("constraints.provide_bin_sh", None, constraints={"system": "x", "provide_bin_sh": "yes"})
    refused("constraints", None, constraints="x86_64-linux")
    with pytest.raises(InvalidRequest):
        BuildConstraints()


def test_unknown_fields_get_a_hint() -> None:
    assert "did you mean 'command_args'?" in refused("comand_args", None, comand_args=["a"])
    assert "did you mean 'system'?" in refused("constraints.sistem", None, constraints={"sistem": "x"})


@pytest.mark.parametrize(
    ("field", "value"),
    [("inputs", 3), ("scratch_paths", 3), ("outputs", "x"), ("environment_vars", "x"), ("additional_files", {"a": 3})],
)
def test_wrong_types(field: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        request(**{field: value})
    assert caught.value.path == field


def test_the_constructor_sorts_by_bytes() -> None:
    made = request(
        scratch_paths=["\U00010000", "\uffff", "b", "a/b", "a"],
        inputs={"b": NODE, "a": DIRECTORY},
        environment_vars={"B": "1", "A": b"2"},
        additional_files={"b": "x", "a": "y"},
        constraints=BuildConstraints(system="x", available_ro_paths=["/b", "/a"]),
    )
    assert made.scratch_paths == ("a", "a/b", "b", "\uffff", "\U00010000")
    assert list(made.inputs) == list(made.additional_files) == ["a", "b"]
    assert list(made.environment_vars.items()) == [("A", b"2"), ("B", b"1")]
    assert made.constraints is not None and made.constraints.available_ro_paths == ("/a", "/b")


def test_friendly_types() -> None:
    made = request(
        command_args=(PurePosixPath("/bin/sh"), "-c"),
        working_dir=PurePosixPath("build"),
        environment_vars={"HOME": PurePosixPath("/x"), "U": "hé"},
        additional_files={"a": "hé", "b": bytearray(b"\xff")},
    )
    assert made.command_args == ("/bin/sh", "-c") and made.working_dir == "build"
    assert made.environment_vars == {"HOME": b"/x", "U": "hé".encode()}
    assert made.additional_files == {"a": "hé".encode(), "b": b"\xff"}


def test_what_tvix_accepts_and_so_do_we() -> None:
    made = BuildRequest(command_args=["x"])
    assert (made.outputs, made.working_dir, made.inputs_dir, made.constraints) == ((), "", "", None)
    assert BuildConstraints(system="x", available_ro_paths=["/"]).available_ro_paths == ("/",)


def test_frozen_and_always_valid() -> None:
    made = request()
    with pytest.raises(pydantic.ValidationError):
        made.working_dir = "x"
    assert made.replace(working_dir="x").working_dir == "x"
    for copy in (made.replace, lambda **kw: made.model_copy(update=kw), lambda **kw: made.model_validate({**kw})):
        with pytest.raises(InvalidRequest):
            copy(working_dir="/x")
