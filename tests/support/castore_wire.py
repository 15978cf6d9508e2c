"""tvix.castore.v1 as the protobuf library has it, from a descriptor built here.

Independent of the generated modules, so that a mistake in the .proto file shows up as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tvixbuild_nb.castore import Directory, DirectoryNode, FileNode, Node

_F = descriptor_pb2.FieldDescriptorProto
_BYTES, _UINT64, _BOOL, _MESSAGE = _F.TYPE_BYTES, _F.TYPE_UINT64, _F.TYPE_BOOL, _F.TYPE_MESSAGE


def _messages() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="castore-test.proto", package="test.castore", syntax="proto3")

    def message(
        name: str, fields: Sequence[tuple[str, Any, str | None]], repeated: bool = False, oneof: bool = False
    ) -> None:
        made = file.message_type.add(name=name)
        if oneof:
            made.oneof_decl.add(name="node")
        for number, (field, kind, type_name) in enumerate(fields, 1):
            label = _F.LABEL_REPEATED if repeated else _F.LABEL_OPTIONAL
            entry = made.field.add(name=field, number=number, type=kind, label=label)
            if type_name is not None:
                entry.type_name = f".test.castore.{type_name}"
            if oneof:
                entry.oneof_index = 0

    message("DirectoryNode", [("name", _BYTES, None), ("digest", _BYTES, None), ("size", _UINT64, None)])
    message(
        "FileNode",
        [("name", _BYTES, None), ("digest", _BYTES, None), ("size", _UINT64, None), ("executable", _BOOL, None)],
    )
    message("SymlinkNode", [("name", _BYTES, None), ("target", _BYTES, None)])
    kinds = ["DirectoryNode", "FileNode", "SymlinkNode"]
    lists = [(name, _MESSAGE, kind) for name, kind in zip(["directories", "files", "symlinks"], kinds, strict=True)]
    message("Directory", lists, repeated=True)
    ones = [(name, _MESSAGE, kind) for name, kind in zip(["directory", "file", "symlink"], kinds, strict=True)]
    message("Node", ones, oneof=True)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"test.castore.{name}"))
        for name in [*kinds, "Directory", "Node"]
    }


MESSAGES = _messages()


def _fields(name: bytes, node: Node) -> tuple[str, dict[str, Any]]:
    if isinstance(node, DirectoryNode):
        return "directory", {"name": name, "digest": bytes(node.digest), "size": node.size}
    if isinstance(node, FileNode):
        digest = bytes(node.digest)
        return "file", {"name": name, "digest": digest, "size": node.size, "executable": node.executable}
    return "symlink", {"name": name, "target": node.target}


def proto_node(name: bytes, node: Node) -> Any:
    """The Node message of the protobuf library."""
    kind, fields = _fields(name, node)
    return MESSAGES["Node"](**{kind: fields})


def proto_directory(directory: Directory) -> Any:
    """The Directory message of the protobuf library."""
    message = MESSAGES["Directory"]()
    lists = {"directory": message.directories, "file": message.files, "symlink": message.symlinks}
    for name, node in directory:
        kind, fields = _fields(name, node)
        lists[kind].add(**fields)
    return message
