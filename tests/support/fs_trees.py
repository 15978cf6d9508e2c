"""Trees as plain values, to be put into a castore, written to disk, or read back from a mounted view."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from hypothesis import strategies as st

from tvixbuild_nb.castore import Castore, Directory, DirectoryNode, Node, SymlinkNode


@dataclass(frozen=True)
class File:
    data: bytes
    executable: bool = False


@dataclass(frozen=True)
class Link:
    target: bytes


Tree: TypeAlias = "File | Link | Mapping[bytes, Tree]"


def names() -> st.SearchStrategy[bytes]:
    """Path components of any bytes, made (not filtered, which would be slow in trees), some of the longest."""

    def clean(data: bytes, length: int) -> bytes:
        name = data.replace(b"\0", b"\1").replace(b"/", b"\\").ljust(length, b"~")
        return name + b"_" if name in (b".", b"..") else name

    return st.builds(clean, st.binary(min_size=1, max_size=8), st.sampled_from([0, 0, 0, 255]))


def trees(max_leaves: int = 12) -> st.SearchStrategy[dict[bytes, Tree]]:
    """Directories of files, links and directories, with names of any bytes."""
    leaves: st.SearchStrategy[Tree] = st.one_of(
        st.builds(File, st.binary(max_size=64), st.booleans()),
        st.builds(Link, st.binary(min_size=1, max_size=40).map(lambda target: target.replace(b"\0", b"/"))),
    )
    nested = st.recursive(leaves, lambda child: st.dictionaries(names(), child, max_size=4), max_leaves=max_leaves)
    return st.dictionaries(names(), nested, max_size=4)


def plant(castore: Castore, tree: Tree) -> Node:
    """Store ``tree`` and return its node."""
    if isinstance(tree, File):
        return castore.ingest_bytes(tree.data, executable=tree.executable)
    if isinstance(tree, Link):
        return SymlinkNode(tree.target)
    directory = Directory({name: plant(castore, child) for name, child in tree.items()})
    return DirectoryNode(castore.directories.put(directory), directory.size)


def read_back(path: bytes) -> Tree:
    """What is at ``path`` on disk, as a tree."""
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return Link(os.readlink(path))
    if stat.S_ISDIR(mode):
        return {name: read_back(os.path.join(path, name)) for name in os.listdir(path)}
    with open(path, "rb") as file:
        return File(file.read(), bool(mode & 0o100))
