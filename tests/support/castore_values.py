"""Hypothesis strategies for castore values."""

from __future__ import annotations

from hypothesis import strategies as st

from tvixbuild_nb.castore import Digest, Directory, DirectoryNode, FileNode, Node, SymlinkNode

SIZES = st.one_of(st.integers(0, 300), st.integers(0, 2**40), st.integers(2**62, 2**63))


def names() -> st.SearchStrategy[bytes]:
    """Path components of any bytes, short ones and long ones."""
    return st.one_of(st.binary(min_size=1, max_size=6), st.binary(min_size=120, max_size=255)).filter(
        lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
    )


def digests() -> st.SearchStrategy[Digest]:
    return st.binary(min_size=32, max_size=32).map(Digest)


def nodes() -> st.SearchStrategy[Node]:
    return st.one_of(
        st.builds(FileNode, digests(), SIZES, st.booleans()),
        st.builds(DirectoryNode, digests(), st.integers(0, 2**50)),
        st.builds(SymlinkNode, st.binary(min_size=1, max_size=300).filter(lambda target: b"\0" not in target)),
    )


def directories(min_size: int = 0) -> st.SearchStrategy[Directory]:
    return st.dictionaries(names(), nodes(), min_size=min_size, max_size=8).map(Directory)
