"""Values of everything below a directory, found in steps: bytes, and which needles are where."""

from __future__ import annotations

import pytest

from tvixbuild_nb.castore import Castore, Digest, Directory, DirectoryNode, FileNode, Node, SymlinkNode, open_castore
from tvixbuild_nb.castore.below import CHUNK, Needles, Totals
from tvixbuild_nb.errors import NotFound


def folder(store: Castore, entries: dict[bytes, Node]) -> DirectoryNode:
    made = Directory(entries)
    return DirectoryNode(store.directories.put(made), made.size)


@pytest.fixture
def store() -> Castore:
    return open_castore("memory:")


def test_needles_are_found_where_they_are(store: Castore) -> None:
    across = b"x" * (CHUNK - 3) + b"second" + b"y" * CHUNK
    nodes: dict[bytes, Node] = {
        b"both": store.ingest_bytes(b"second first"),
        b"across": store.ingest_bytes(across),
        b"clean": store.ingest_bytes(b"nothing"),
        b"link": SymlinkNode(b"/a/first"),
        b"empty": store.ingest_bytes(b""),
    }
    needles = Needles([b"first", b"second", b"third"])
    below = folder(store, nodes)
    top = folder(store, {b"below": below, b"clean": nodes[b"clean"]})
    assert needles.known(below) is None
    assert needles.step(store, top, 10) == {0, 1}
    expected = {b"both": {0, 1}, b"across": {1}, b"clean": set(), b"link": {0}, b"empty": set()}
    assert {name: needles.known(node) for name, node in nodes.items()} == expected
    looked_at = needles.looked_at
    assert needles.step(store, below, 10) == {0, 1} and needles.looked_at == looked_at  # nothing is read twice


def test_steps_of_several_do_not_meet(store: Castore) -> None:
    needles = Needles([b"needle"])
    holding = store.ingest_bytes(b"n" * 3 * CHUNK + b"needle")
    clean = store.ingest_bytes(b"c" * 3 * CHUNK)
    found: dict[FileNode, frozenset[int] | None] = {holding: None, clean: None}
    steps = 0
    while None in found.values():
        steps += 1
        found = {node: needles.step(store, node, 0) for node in found}
    assert found == {holding: {0}, clean: frozenset()} and steps > 2


def test_what_is_missing_is_said_every_time(store: Castore) -> None:
    lost = FileNode(Digest.of(b"lost"), 4)
    top = folder(store, {b"lost": lost})
    needles = Needles([b"needle"])
    for _ in range(2):
        with pytest.raises(NotFound):
            needles.step(store, top, 1)
    assert Totals().step(store, top, 1) == 4
    with pytest.raises(NotFound):
        Totals().step(store, DirectoryNode(Digest.of(b"gone"), 2), 1)
