"""The canonical encoding: against the real implementations' goldens, the protobuf library, and itself."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.castore_values import directories, names, nodes
from support.castore_wire import proto_directory, proto_node
from tvixbuild_nb.castore import (
    Castore,
    Digest,
    Directory,
    DirectoryNode,
    FileNode,
    Node,
    SymlinkNode,
    check_name,
    decode_directory,
    decode_node,
    directory_digest,
    encode_directory,
    encode_node,
    open_castore,
)
from tvixbuild_nb.errors import InvalidNode

TREES: dict[str, Any] = json.loads((Path(__file__).parents[2] / "goldens" / "trees.json").read_text())
D = Digest(bytes(range(32)))


def build(castore: Castore, entries: list[dict[str, Any]]) -> DirectoryNode:
    """The directory node of a golden's flat list of entries, parents implied."""
    tree: dict[bytes, Any] = {}
    for entry in entries:
        *parents, name = base64.b64decode(entry["path"]).split(b"/")
        at = tree
        for parent in parents:
            at = at.setdefault(parent, {})
        if entry["kind"] == "directory":
            at.setdefault(name, {})
        elif entry["kind"] == "symlink":
            at[name] = SymlinkNode(base64.b64decode(entry["target"]))
        else:
            executable = bool(int(entry["mode"], 8) & 0o100)
            at[name] = castore.ingest_bytes(base64.b64decode(entry["contents"]), executable)

    def store(table: dict[bytes, Any]) -> DirectoryNode:
        pairs: list[tuple[bytes, Node]] = [(n, store(v) if isinstance(v, dict) else v) for n, v in table.items()]
        directory = Directory(pairs)
        return DirectoryNode(castore.directories.put(directory), directory.size)

    return store(tree)


@pytest.mark.parametrize("name", sorted(TREES))
def test_trees_have_the_digests_of_the_real_castore(name: str) -> None:
    castore = open_castore("memory:")
    node = build(castore, TREES[name]["entries"])
    assert (str(node.digest), node.size) == (TREES[name]["digest"], TREES[name]["size"])
    assert castore.has_closure(node)
    for directory in castore.directories.get_closure(node.digest):
        assert proto_directory(directory).SerializeToString(deterministic=True) == encode_directory(directory)


@given(directories())
def test_directories_survive_and_agree_with_protobuf(directory: Directory) -> None:
    data = encode_directory(directory)
    assert decode_directory(data) == directory
    assert data == proto_directory(directory).SerializeToString(deterministic=True)
    assert directory_digest(directory) == Digest.of(data)


@given(names(), nodes())
def test_nodes_survive_and_agree_with_protobuf(name: bytes, node: Node) -> None:
    data = encode_node(name, node)
    assert decode_node(data) == (name, node)
    assert data == proto_node(name, node).SerializeToString(deterministic=True)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_exactly_or_refused(data: bytes) -> None:
    try:
        directory = decode_directory(data)
    except InvalidNode:
        return
    assert encode_directory(directory) == data


@given(directories(min_size=1), st.data())
def test_a_changed_byte_is_refused_or_another_directory(directory: Directory, data: st.DataObject) -> None:
    wire = bytearray(encode_directory(directory))
    position = data.draw(st.integers(0, len(wire) - 1))
    wire[position] ^= data.draw(st.integers(1, 255))
    try:
        other = decode_directory(bytes(wire))
    except InvalidNode:
        return
    assert other != directory
    assert encode_directory(other) == wire


def test_the_empty_directory() -> None:
    assert encode_directory(Directory()) == b""
    assert str(directory_digest(Directory())) == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


def test_a_size_is_twice_the_entries_below() -> None:
    entries: dict[bytes, Node] = {b"f": FileNode(D, 5), b"l": SymlinkNode(b"x")}
    inner = Directory(entries)
    outer = Directory([(b"d", DirectoryNode(D, inner.size)), (b"f", FileNode(D, 5))])
    assert (inner.size, outer.size) == (4, 8)
    assert DirectoryNode(D, outer.size).entry_count == 4


FILE_A = encode_directory(Directory({b"a": FileNode(D, 1)}))
FILE_B = encode_directory(Directory({b"b": FileNode(D, 1)}))
LINK_A = encode_directory(Directory({b"a": SymlinkNode(b"t")}))
BODY_A = FILE_A[2:]
HUGE = encode_directory(Directory({b"a": DirectoryNode(D, 2**64 - 3)})) + FILE_B


@pytest.mark.parametrize(
    ("wire", "part"),
    [
        pytest.param(FILE_B + FILE_A, "not sorted", id="unsorted"),
        pytest.param(FILE_A + FILE_A, "occurs twice", id="twice in one list"),
        pytest.param(FILE_A + LINK_A, "occurs twice", id="twice over two lists"),
        pytest.param(LINK_A + FILE_B, "canonical", id="lists out of order"),
        pytest.param(FILE_A + b"\x22\x00", "unknown field 4", id="unknown field"),
        pytest.param(FILE_A + b"\x08\x01", "unknown field 1", id="wrong wire type"),
        pytest.param(FILE_A + b"\x25\0\0\0\0", "unknown field 4", id="32-bit field"),
        pytest.param(b"\x12" + bytes([len(BODY_A) + 2]) + BODY_A + b"\x28\x01", "unknown field 5", id="unknown inside"),
        pytest.param(b"\x12" + bytes([len(BODY_A) + 2]) + BODY_A + b"\x20\x00", "canonical", id="default written out"),
        pytest.param(b"\x12" + bytes([len(BODY_A) + 2]) + BODY_A + b"\x20\x02", "0 or 1", id="odd boolean"),
        pytest.param(b"\x12" + bytes([len(BODY_A) + 2]) + BODY_A + b"\x18\x01", "occurs twice", id="field twice"),
        pytest.param(FILE_A[:1] + bytes([FILE_A[1] | 0x80, 0]) + FILE_A[2:], "canonical", id="long varint"),
        pytest.param(FILE_A[:-3], "ends in the middle", id="cut"),
        pytest.param(b"\x12\xff", "ends in the middle", id="cut number"),
        pytest.param(b"\x12" + b"\xff" * 10 + b"\x01", "64 bits", id="number too long"),
        pytest.param(b"\x12\x02\x0a\x00", "digest", id="no digest"),
        pytest.param(b"\x1a\x03\x0a\x01a", "target", id="no target"),
        pytest.param(FILE_A.replace(b"\x0a\x01a", b"\x0a\x01/"), "'/'", id="slash"),
        pytest.param(FILE_A.replace(b"\x0a\x01a", b"\x0a\x01."), "not a name", id="dot"),
        pytest.param(HUGE, "2^64-1", id="size overflow"),
    ],
)
def test_bad_directories_are_refused(wire: bytes, part: str) -> None:
    with pytest.raises(InvalidNode, match=part.replace("^", r"\^")):
        decode_directory(wire)


def test_the_error_names_list_and_position() -> None:
    two = encode_directory(Directory({b"a": FileNode(D, 1), b"c": FileNode(D, 1)}))
    with pytest.raises(InvalidNode) as caught:
        decode_directory(two + FILE_B)
    assert (caught.value.path, caught.value.index) == ("directory.files", 2)


@pytest.mark.parametrize("wire", [b"", b"\x22\x00", encode_node(b"a", FileNode(D, 1)) * 2, b"\x12\x00"])
def test_bad_nodes_are_refused(wire: bytes) -> None:
    with pytest.raises(InvalidNode):
        decode_node(wire)


def test_an_empty_name_is_read_only_when_asked_for() -> None:
    wire = encode_node(b"", FileNode(D, 1))
    with pytest.raises(InvalidNode, match="empty"):
        decode_node(wire)
    assert decode_node(wire, named=False) == (b"", FileNode(D, 1))


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"a\0", b"n" * 256])
def test_what_is_no_name(name: bytes) -> None:
    with pytest.raises(InvalidNode):
        check_name(name)


@pytest.mark.parametrize("target", [b"", b"a\0", b"t" * 4096])
def test_what_is_no_target(target: bytes) -> None:
    with pytest.raises(InvalidNode):
        SymlinkNode(target)
