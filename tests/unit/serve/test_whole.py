"""Inputs of a request, as a server looks for them before it builds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tvixbuild_nb.build import CancelToken
from tvixbuild_nb.castore import Castore, DirectoryNode, FileNode, Node, SymlinkNode, open_castore
from tvixbuild_nb.castore.memory import MemoryBlobs
from tvixbuild_nb.errors import Cancelled, InvalidRequest, NotFound
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.serve.whole import WholeInputs


@pytest.fixture
def castore() -> Iterator[Castore]:
    with open_castore("memory:") as castore:
        yield castore


@pytest.fixture
def tree(castore: Castore, tmp_path: Path) -> DirectoryNode:
    (tmp_path / "tree" / "below").mkdir(parents=True)
    (tmp_path / "tree" / "below" / "file").write_text("contents")
    node = castore.ingest(tmp_path / "tree")
    assert isinstance(node, DirectoryNode)
    return node


def request(node: Node) -> BuildRequest:
    return BuildRequest(command_args=["x"], inputs={"first": SymlinkNode(b"x"), "in": node})


def test_what_is_lost_later(castore: Castore, tree: DirectoryNode) -> None:
    whole = WholeInputs(castore)
    whole.check(request(tree), CancelToken())
    assert isinstance(castore.blobs, MemoryBlobs)
    castore.blobs.forget(list(castore.blobs.sizes()))
    whole.check(request(tree), CancelToken())
    whole.forget(request(tree))
    with pytest.raises(NotFound, match="lacks 1 ") as raised:
        whole.check(request(tree), CancelToken())
    assert raised.value.index == 1


def test_sizes_that_are_others(castore: Castore, tree: DirectoryNode) -> None:
    file = castore.ingest_bytes(b"12345")
    for node in (DirectoryNode(tree.digest, tree.size + 1), FileNode(file.digest, 4)):
        with pytest.raises(InvalidRequest, match="has size") as raised:
            WholeInputs(castore).check(request(node), CancelToken())
        assert (raised.value.path, raised.value.index) == ("inputs", 1)
    for right in (tree, file):
        WholeInputs(castore).check(request(right), CancelToken())


def test_nobody_looks_on_for_who_went_away(castore: Castore, tree: DirectoryNode) -> None:
    gone = CancelToken()
    gone.cancel()
    with pytest.raises(Cancelled):
        WholeInputs(castore).check(request(tree), gone)
