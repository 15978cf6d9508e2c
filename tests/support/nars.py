"""Trees and NARs for tests: hypothesis strategies, and a NAR put together by hand."""

from __future__ import annotations

from typing import TypeAlias

from hypothesis import strategies as st

from support.castore_values import names
from tvixbuild_nb.castore import Castore, Directory, DirectoryNode, Node, SymlinkNode

# A directory, a file with its x bit, or the target of a symlink.
Tree: TypeAlias = "dict[bytes, Tree] | tuple[bytes, bool] | str"


def trees() -> st.SearchStrategy[Tree]:
    """Small trees of anything."""
    files = st.tuples(st.binary(max_size=40), st.booleans())
    links = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30)
    return st.recursive(files | links, lambda below: st.dictionaries(names(), below, max_size=4), max_leaves=12)


def stored(castore: Castore, tree: Tree) -> Node:
    """``tree`` in ``castore``."""
    if isinstance(tree, str):
        return SymlinkNode(tree.encode())
    if isinstance(tree, tuple):
        return castore.ingest_bytes(*tree)
    directory = Directory({name: stored(castore, below) for name, below in tree.items()})
    return DirectoryNode(castore.directories.put(directory), directory.size)


def string(data: bytes, *, length: int | None = None, fill: bytes = b"\0") -> bytes:
    """One string of a NAR; with a false ``length``, or padded with something else."""
    count = len(data) if length is None else length
    return count.to_bytes(8, "little") + data + fill * (-len(data) % 8)


def strings(*parts: bytes) -> bytes:
    """Several, one after the other."""
    return b"".join(map(string, parts))


def regular(data: bytes = b"", *, executable: bool = False) -> bytes:
    """A node of a NAR: a regular file."""
    bit = (b"executable", b"") if executable else ()
    return strings(b"(", b"type", b"regular", *bit, b"contents", data, b")")


def directory(*entries: tuple[bytes, bytes]) -> bytes:
    """A node of a NAR: a directory with these names and nodes, in this order."""
    inner = b"".join(strings(b"entry", b"(", b"name", name, b"node") + node + strings(b")") for name, node in entries)
    return strings(b"(", b"type", b"directory") + inner + strings(b")")


def symlink(target: bytes) -> bytes:
    """A node of a NAR: a symlink."""
    return strings(b"(", b"type", b"symlink", b"target", target, b")")


def nar(node: bytes) -> bytes:
    """The NAR of a node."""
    return string(b"nix-archive-1") + node
