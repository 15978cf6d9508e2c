"""BuildRequest as protobuf bytes and protobuf-JSON: round trips, and the wire form's strictness."""

from __future__ import annotations

import base64
import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.request_strategies import requests
from tvixbuild_nb.castore import Digest, DirectoryNode, FileNode, SymlinkNode, encode_node
from tvixbuild_nb.errors import InvalidRequest
from tvixbuild_nb.proto import build_pb2
from tvixbuild_nb.request import BuildRequest

GOLDENS = json.loads((Path(__file__).parents[2] / "goldens" / "configs.json").read_text())
EMPTY = bytes(Digest.of(b""))


@given(requests())
def test_round_trips(made: BuildRequest) -> None:
    assert BuildRequest.from_bytes(made.to_bytes()) == made
    assert BuildRequest.from_json(made.to_json()) == made
    assert BuildRequest.from_json(made.to_json().encode()) == made
    assert BuildRequest.from_json(made.to_dict()) == made
    assert pickle.loads(pickle.dumps(made)) == made == copy.deepcopy(made) == made.replace()
    assert hash(BuildRequest.from_bytes(made.to_bytes())) == hash(made)
    assert made.digest == Digest.of(made.to_bytes())


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        made = BuildRequest.from_bytes(data)
    except InvalidRequest:
        return
    assert BuildRequest.from_bytes(made.to_bytes()) == made


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)
FIELDS = [field.name for field in build_pb2.BuildRequest.DESCRIPTOR.fields]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_any_json_is_read_or_refused(data: dict[str, Any]) -> None:
    try:
        BuildRequest.from_json(json.dumps(data))
    except InvalidRequest as error:
        assert error.path


@pytest.mark.parametrize("case", GOLDENS)
def test_golden_requests(case: str) -> None:
    made = BuildRequest.from_json(GOLDENS[case]["request"])
    assert BuildRequest.from_bytes(made.to_bytes()) == made


def test_json_names_in_both_styles() -> None:
    digest = base64.b64encode(EMPTY).decode()
    snake = {
        "command_args": ["a"],
        "scratch_paths": ["b"],
        "inputs": [{"directory": {"name": "eA==", "digest": digest, "size": "2"}}],
        "environment_vars": [{"key": "K", "value": "dg=="}],
        "constraints": {"system": "s", "min_memory": "9007199254740993", "available_ro_paths": ["/a"]},
        "additional_files": [{"path": "p", "contents": "Yw=="}],
    }
    made = BuildRequest.from_json(snake)
    camel = made.to_dict()
    assert camel == {
        "commandArgs": ["a"],
        "scratchPaths": ["b"],
        "inputs": [{"directory": {"name": "eA==", "digest": digest, "size": "2"}}],
        "environmentVars": [{"key": "K", "value": "dg=="}],
        "constraints": {"system": "s", "minMemory": "9007199254740993", "availableRoPaths": ["/a"]},
        "additionalFiles": [{"path": "p", "contents": "Yw=="}],
    }
    assert BuildRequest.from_json(camel) == made
    assert made.constraints is not None and made.constraints.min_memory == 9007199254740993


def wire_json(**fields: Any) -> Callable[[], BuildRequest]:
    return lambda: BuildRequest.from_json({"command_args": ["a"], "scratch_paths": ["s", "t"], **fields})


def wire_bytes(**fields: Any) -> Callable[[], BuildRequest]:
    message = build_pb2.BuildRequest(**{"command_args": ["a"], "scratch_paths": ["s", "t"], **fields})
    return lambda: BuildRequest.from_bytes(message.SerializeToString())


def symlink(name: bytes, target: bytes = b"t") -> dict[str, Any]:
    return {"symlink": {"name": name, "target": target}}


@pytest.mark.parametrize(
    ("field", "index", "fields"),
    [
        ("scratch_paths", 1, {"scratch_paths": ["t", "s"]}),
        ("scratch_paths", 1, {"scratch_paths": ["s", "s"]}),
        ("outputs", 1, {"outputs": ["t/a", "s/a"]}),
        ("environment_vars", 1, {"environment_vars": [{"key": "B"}, {"key": "A"}]}),
        ("environment_vars", 1, {"environment_vars": [{"key": "A"}, {"key": "A"}]}),
        ("additional_files", 1, {"additional_files": [{"path": "b"}, {"path": "a"}]}),
        ("constraints.available_ro_paths", 1, {"constraints": {"system": "x", "available_ro_paths": ["/b", "/a"]}}),
        ("constraints.system", None, {"constraints": {}}),
        ("constraints.system", None, {"constraints": {"provide_bin_sh": True}}),
        ("command_args", None, {"command_args": []}),
        ("working_dir", None, {"working_dir": "/x"}),
        ("inputs", 0, {"inputs": [{}]}),
    ],
)
def test_the_wire_form_is_strict(field: str, index: int | None, fields: dict[str, Any]) -> None:
    for read in (wire_json(**fields), wire_bytes(**fields)):
        with pytest.raises(InvalidRequest) as caught:
            read()
        assert (caught.value.path, caught.value.index) == (field, index)


@pytest.mark.parametrize(
    ("index", "inputs"),
    [
        (1, [symlink(b"b"), symlink(b"a")]),
        (1, [symlink(b"a"), symlink(b"a")]),
        (0, [symlink(b"")]),
        (0, [symlink(b"..")]),
        (0, [symlink(b"\xff")]),
        (0, [symlink(b"a", b"")]),
        (0, [{"file": {"name": b"a", "digest": b"short"}}]),
        (0, [{"directory": {"name": b"a"}}]),
    ],
)
def test_strict_inputs(index: int, inputs: list[dict[str, Any]]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        wire_bytes(inputs=inputs)()
    assert (caught.value.path, caught.value.index) == ("inputs", index)


@pytest.mark.parametrize(
    ("path", "tail"),
    [
        ("bytes", b"\x58\x01"),
        ("constraints", b"\x42\x05\x0a\x01x\x38\x01"),
        ("inputs[0].symlink", b"\x0a\x0a\x1a\x08\x0a\x01a\x12\x01t\x18\x01"),
        ("bytes", b"\xff"),
        ("bytes", b"\x1a\x01\xff"),
    ],
)
def test_unknown_fields_and_garbage(path: str, tail: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        BuildRequest.from_bytes(b"\x12\x01a" + tail)
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("path", "index", "text"),
    [
        ("json", None, "["),
        ("json", None, "[]"),
        ("json", None, "[" * 100_000),
        ("command_args", None, '{"command_args": ["a"], "command_args": ["b"]}'),
        ("env", None, '{"env": []}'),
        ("constraints.sistem", None, '{"constraints": {"sistem": "x"}}'),
        ("inputs[0].file.nam", None, '{"inputs": [{"file": {"nam": "eA=="}}]}'),
        ("commandArgs", 1, '{"commandArgs": ["a", 1]}'),
        ("commandArgs", 0, '{"commandArgs": [null]}'),
        ("commandArgs", 0, r'{"commandArgs": ["\ud800"]}'),
        ("commandArgs", None, '{"command_args": ["a"], "commandArgs": ["b"]}'),
        ("constraints.minMemory", None, '{"constraints": {"system": "x", "minMemory": "many"}}'),
        ("constraints.min_memory", None, '{"constraints": {"system": "x", "min_memory": -1}}'),
        ("constraints.min_memory", None, '{"constraints": {"system": "x", "min_memory": NaN}}'),
        ("constraints.networkAccess", None, '{"constraints": {"networkAccess": "yes"}}'),
        ("constraints.availableRoPaths", 1, '{"constraints": {"availableRoPaths": ["/a", 1]}}'),
        ("constraints", None, '{"constraints": []}'),
        ("environmentVars", None, '{"environmentVars": {"A": "b"}}'),
        ("environmentVars", 0, '{"environmentVars": ["A=b"]}'),
        ("environmentVars[0].value", None, '{"environmentVars": [{"key": "A", "value": "no base64!"}]}'),
        ("inputs[0].file", None, '{"inputs": [{"directory": {}, "file": {}}]}'),
    ],
)
def test_json_that_cannot_be_read(path: str, index: int | None, text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        BuildRequest.from_json(text)
    assert (caught.value.path, caught.value.index) == (path, index)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"commandArgs": "x"}, 'commandArgs: expected a list, got the text "x"\n  hint: for one, write ["x"]'),
        ({"commandArgs": ["a", 1]}, "commandArgs[1]: expected text, got the number 1"),
        ({"workingDir": ["x"]}, "workingDir: expected text, got a list"),
        ({"constraints": 3}, "constraints: expected an object (system, minMemory"),
        ({"constraints": {"minMemory": 1.5}}, "expected a whole number from 0 to 2^64-1, got the number 1.5"),
        ({"constraints": {"provideBinSh": "true"}}, 'expected true or false, got the text "true"'),
        ({"additionalFiles": [{"contents": {}}]}, "expected bytes as base64 text, got an object"),
        ({"inputs": [{"file": {}, "symlink": {}}]}, "only one of file and symlink may be given"),
    ],
)
def test_json_of_a_wrong_shape_is_told_in_plain_words(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        BuildRequest.from_json(fields)
    assert words in str(caught.value)


@pytest.mark.parametrize("number", [7, 7.0, "7"])
@pytest.mark.parametrize("value", ["-_8", "-_8=", "+/8", "+/8="])
def test_what_protobuf_json_allows_is_read(number: object, value: str) -> None:
    made = BuildRequest.from_json(
        {
            "commandArgs": ["a"],
            "outputs": None,
            "constraints": {"system": "x", "minMemory": number},
            "additionalFiles": [{"path": "a", "contents": value}],
        }
    )
    assert made.constraints is not None and made.constraints.min_memory == 7
    assert made.additional_files["a"] == b"\xfb\xff"


def test_nodes_are_encoded_as_castore_encodes_them() -> None:
    nodes = {
        "a": DirectoryNode(Digest(EMPTY), 2),
        "b": FileNode(Digest.of(b"x"), 1, True),
        "c": SymlinkNode(b"\xff"),
    }
    message = build_pb2.BuildRequest.FromString(BuildRequest(command_args=["x"], inputs=nodes).to_bytes())
    encoded = [node.SerializeToString() for node in message.inputs]
    assert encoded == [encode_node(name.encode(), node) for name, node in nodes.items()]
