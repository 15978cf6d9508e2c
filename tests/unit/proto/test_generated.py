"""The generated modules are those of the .proto files, and their protobuf is one we ask for."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

import tvixbuild_nb.proto.generate as generator
from tvixbuild_nb.proto import build_pb2, castore_pb2, snix_build_pb2, snix_castore_pb2

HERE = Path(generator.__file__).parent


def serialized(module: Path) -> bytes:
    match = re.search(r"AddSerializedFile\((b'.*')\)", module.read_text())
    assert match is not None
    return bytes(ast.literal_eval(match[1]))


@pytest.mark.parametrize("name", generator.PROTOS)
def test_generated_modules_are_current(name: str, tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed (extra: dev)")
    made = {path.name: path for path in generator.generate(tmp_path)}
    # The descriptor, not the text: another version of protoc words the rest in another way.
    assert serialized(made[f"{name}_pb2.py"]) == serialized(HERE / f"{name}_pb2.py"), (
        "run python -m tvixbuild_nb.proto.generate"
    )


@pytest.mark.parametrize("name", generator.PROTOS)
def test_the_protobuf_we_ask_for_can_run_them(name: str) -> None:
    match = re.search(r"Protobuf Python Version: ([\d.]+)", (HERE / f"{name}_pb2.py").read_text())
    assert match is not None
    made_for = tuple(map(int, match[1].split(".")))
    pyproject = HERE.parents[1] / "pyproject.toml"
    if not pyproject.exists():
        pytest.skip("pyproject.toml is not beside the package")
    wanted = next(d for d in tomllib.loads(pyproject.read_text())["project"]["dependencies"] if "protobuf" in d)
    assert tuple(map(int, wanted.split(">=")[1].split("."))) >= made_for


def test_packages_and_services() -> None:
    assert castore_pb2.DESCRIPTOR.package == "tvix.castore.v1"
    assert set(castore_pb2.DESCRIPTOR.services_by_name) == {"BlobService", "DirectoryService"}
    service = build_pb2.DESCRIPTOR.services_by_name["BuildService"]
    assert service.full_name == "tvix.build.v1.BuildService"
    assert [method.name for method in service.methods] == ["DoBuild"]


def numbers(message: type) -> dict[str, int]:
    return {field.name: field.number for field in message.DESCRIPTOR.fields}


def test_field_numbers() -> None:
    request = build_pb2.BuildRequest
    assert list(numbers(request)) == [
        "inputs", "command_args", "working_dir", "scratch_paths", "inputs_dir", "outputs",
        "environment_vars", "constraints", "additional_files", "refscan_needles",
    ]  # fmt: skip
    assert list(numbers(request).values()) == list(range(1, 11))
    assert numbers(request.BuildConstraints) == {
        "system": 1, "min_memory": 2, "available_ro_paths": 3, "network_access": 4, "provide_bin_sh": 5,
    }  # fmt: skip
    assert numbers(request.EnvVar) == {"key": 1, "value": 2}
    assert numbers(request.AdditionalFile) == {"path": 1, "contents": 2}
    assert numbers(build_pb2.Build) == {"build_request": 1, "outputs": 2, "outputs_needles": 3}
    assert numbers(castore_pb2.Directory) == {"directories": 1, "files": 2, "symlinks": 3}
    assert numbers(castore_pb2.FileNode) == {"name": 1, "digest": 2, "size": 3, "executable": 4}
    assert numbers(castore_pb2.SymlinkNode) == {"name": 1, "target": 2}
    assert numbers(castore_pb2.StatBlobResponse) == {"chunks": 2, "bao": 3}


def test_a_known_message_on_the_wire() -> None:
    message = build_pb2.BuildRequest(command_args=["a"], constraints={"system": "x"})
    assert message.SerializeToString() == b"\x12\x01a\x42\x03\x0a\x01x"
    assert json_format.MessageToDict(message) == {"commandArgs": ["a"], "constraints": {"system": "x"}}


def shape(message: Any, seen: tuple[str, ...] = ()) -> object:
    """What of a message's type is seen on the wire: numbers, types, and those of the messages in it."""
    if message.full_name in seen:
        return message.full_name
    inside = (*seen, message.full_name)
    return [
        (field.number, field.type, field.is_repeated, field.message_type and shape(field.message_type, inside))
        for field in sorted(message.fields, key=lambda field: field.number)
    ]  # fmt: skip


def test_snix_has_the_same_bytes_under_other_names() -> None:
    names = {"DirectoryNode": "DirectoryEntry", "FileNode": "FileEntry", "SymlinkNode": "SymlinkEntry", "Node": "Entry"}
    tvix, snix = castore_pb2.DESCRIPTOR, snix_castore_pb2.DESCRIPTOR
    assert snix.package == "snix.castore.v1" and snix_build_pb2.DESCRIPTOR.package == "snix.build.v1"
    for name, message in tvix.message_types_by_name.items():
        assert shape(message) == shape(snix.message_types_by_name[names.get(name, name)])
    for name, service in tvix.services_by_name.items():
        for ours, theirs in zip(service.methods, snix.services_by_name[name].methods, strict=True):
            same = ("name", "client_streaming", "server_streaming")
            assert [getattr(ours, each) for each in same] == [getattr(theirs, each) for each in same]
            assert shape(ours.input_type) == shape(theirs.input_type)
    request = snix_build_pb2.BuildRequest
    assert shape(request.DESCRIPTOR) == shape(build_pb2.BuildRequest.DESCRIPTOR)
    assert numbers(snix_build_pb2.BuildResponse) == {"outputs": 1}
    assert numbers(snix_build_pb2.BuildResponse.Output) == {"output": 1, "needles": 2}
