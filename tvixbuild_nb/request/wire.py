"""BuildRequest on the wire: protobuf bytes and protobuf-JSON. The one module here that imports protobuf.

The wire form is strict where Python's constructor is friendly: lists are sorted and hold nothing
twice, constraints name a system, fields that do not exist are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.nodes import DirectoryNode, FileNode, Node, SymlinkNode
from tvixbuild_nb.errors import InvalidNode, InvalidRequest
from tvixbuild_nb.proto import build_pb2, castore_pb2
from tvixbuild_nb.request import rules
from tvixbuild_nb.request.jsonshape import check_shape

if TYPE_CHECKING:
    from tvixbuild_nb.request.buildrequest import BuildRequest


def to_message(request: BuildRequest) -> build_pb2.BuildRequest:
    """The protobuf message of ``request``."""
    message = build_pb2.BuildRequest(
        inputs=[node_message(name.encode(), node) for name, node in request.inputs.items()],
        command_args=request.command_args,
        working_dir=request.working_dir,
        scratch_paths=request.scratch_paths,
        inputs_dir=request.inputs_dir,
        outputs=request.outputs,
        refscan_needles=request.refscan_needles,
    )
    for key, value in request.environment_vars.items():
        message.environment_vars.add(key=key, value=value)
    for path, contents in request.additional_files.items():
        message.additional_files.add(path=path, contents=contents)
    if (constraints := request.constraints) is not None:
        message.constraints.system = constraints.system
        message.constraints.min_memory = constraints.min_memory
        message.constraints.available_ro_paths.extend(constraints.available_ro_paths)
        message.constraints.network_access = constraints.network_access
        message.constraints.provide_bin_sh = constraints.provide_bin_sh
    return message


def node_message(name: bytes, node: Node) -> castore_pb2.Node:
    """The Node message of ``node`` under ``name``."""
    match node:
        case DirectoryNode():
            return castore_pb2.Node(
                directory=castore_pb2.DirectoryNode(name=name, digest=bytes(node.digest), size=node.size)
            )
        case FileNode():
            return castore_pb2.Node(
                file=castore_pb2.FileNode(
                    name=name, digest=bytes(node.digest), size=node.size, executable=node.executable
                )
            )
        case SymlinkNode():
            return castore_pb2.Node(symlink=castore_pb2.SymlinkNode(name=name, target=node.target))


def fields_of(message: build_pb2.BuildRequest) -> dict[str, Any]:
    """The constructor's arguments of a message, after the rules that only the wire form has."""
    _refuse_unknown(message, "")
    inputs = [_input(node, index) for index, node in enumerate(message.inputs)]
    variables = [(entry.key, entry.value) for entry in message.environment_vars]
    files = [(entry.path, entry.contents) for entry in message.additional_files]
    rules.in_order([name for name, _ in inputs], "inputs")
    rules.in_order(message.scratch_paths, "scratch_paths")
    rules.in_order(message.outputs, "outputs")
    rules.in_order([key for key, _ in variables], "environment_vars")
    rules.in_order([path for path, _ in files], "additional_files")
    fields: dict[str, Any] = {
        "inputs": dict(inputs),
        "command_args": list(message.command_args),
        "working_dir": message.working_dir,
        "scratch_paths": list(message.scratch_paths),
        "inputs_dir": message.inputs_dir,
        "outputs": list(message.outputs),
        "environment_vars": dict(variables),
        "additional_files": dict(files),
        "refscan_needles": list(message.refscan_needles),
    }
    if message.HasField("constraints"):
        constraints = message.constraints
        rules.in_order(constraints.available_ro_paths, "constraints.available_ro_paths")
        fields["constraints"] = {
            "system": constraints.system,
            "min_memory": constraints.min_memory,
            "available_ro_paths": list(constraints.available_ro_paths),
            "network_access": constraints.network_access,
            "provide_bin_sh": constraints.provide_bin_sh,
        }
    return fields


def to_bytes(request: BuildRequest) -> bytes:
    """The canonical encoding: fields in number order, defaults left out."""
    return to_message(request).SerializeToString(deterministic=True)


def from_bytes(data: bytes) -> dict[str, Any]:
    """The constructor's arguments; :class:`InvalidRequest` for what is no such message."""
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise InvalidRequest(f"expected bytes, got {type(data).__name__}", path="bytes")
    try:
        message = build_pb2.BuildRequest.FromString(bytes(data))
    except DecodeError as error:
        raise InvalidRequest(f"not a tvix.build.v1.BuildRequest message: {error}", path="bytes") from None
    return fields_of(message)


def to_dict(request: BuildRequest) -> dict[str, Any]:
    """protobuf-JSON as Python data."""
    return json_format.MessageToDict(to_message(request))


def to_json(request: BuildRequest, indent: int | None) -> str:
    """protobuf-JSON as text."""
    return json.dumps(to_dict(request), indent=indent, ensure_ascii=False)


def from_json(data: str | bytes | Mapping[str, Any]) -> dict[str, Any]:
    """The constructor's arguments; :class:`InvalidRequest` names the field that cannot be read."""
    parsed = _parsed(data)
    check_shape(parsed, build_pb2.BuildRequest.DESCRIPTOR)
    message = build_pb2.BuildRequest()
    try:
        json_format.ParseDict(dict(parsed), message)
    except (json_format.ParseError, ValueError, TypeError) as error:
        raise InvalidRequest(f"not a build request: {error}", path="json") from None
    return fields_of(message)


def _parsed(data: str | bytes | Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        try:
            data = json.loads(data, object_pairs_hook=_object)
        except RecursionError:
            raise InvalidRequest("nested too deeply", path="json") from None
        except (ValueError, TypeError) as error:
            if isinstance(error, InvalidRequest):
                raise
            raise InvalidRequest(f"not JSON: {error}", path="json") from None
    if not isinstance(data, Mapping):
        raise InvalidRequest(f"expected an object, got {type(data).__name__}", path="json")
    return data


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise InvalidRequest("the name occurs twice in one object", path=next(n for n in names if names.count(n) > 1))
    return found


def _refuse_unknown(message: Message, path: str) -> None:
    if (unknown := UnknownFieldSet(message)) and len(unknown):
        raise InvalidRequest(
            f"there is no field number {unknown[0].field_number} in {message.DESCRIPTOR.full_name}",
            path=path or "bytes",
            hint="made by a newer version of the protocol?",
        )
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            where = f"{path}.{field.name}" if path else field.name
            if isinstance(value, Message):
                _refuse_unknown(value, where)
            else:
                for index, entry in enumerate(value):
                    _refuse_unknown(entry, f"{where}[{index}]")


def _input(message: castore_pb2.Node, index: int) -> tuple[str, Node]:
    kind = message.WhichOneof("node")
    if kind is None:
        raise InvalidRequest("a node is a directory, a file or a symlink; this one is none", path="inputs", index=index)
    named = getattr(message, kind)
    name = rules.input_name(named.name, "inputs", index)
    try:
        match kind:
            case "directory":
                return name, DirectoryNode(Digest(named.digest), named.size)
            case "file":
                return name, FileNode(Digest(named.digest), named.size, named.executable)
            case _:
                return name, SymlinkNode(named.target)
    except InvalidNode as error:
        raise InvalidRequest(f"input {name!r}: {error.message}", path="inputs", index=index) from None
