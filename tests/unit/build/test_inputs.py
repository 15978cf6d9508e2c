"""Inputs that have to be copied before a build: who cancels it need not wait for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tvixbuild_nb.build import CancelToken
from tvixbuild_nb.build.inputs import describe_view, link_checkouts
from tvixbuild_nb.castore import Castore, FileNode, copy_closure, open_castore
from tvixbuild_nb.castore.progress import Silent
from tvixbuild_nb.errors import Cancelled
from tvixbuild_nb.fs import checkout
from tvixbuild_nb.oci import Bundle

LARGE = 8 << 20


class Enough(Silent):
    """Progress that ends the work after some bytes."""

    def advance(self, files: int = 0, bytes: int = 0) -> None:
        super().advance(files, bytes)
        if self.bytes > LARGE // 2:
            raise Cancelled("enough")


@pytest.fixture
def castore() -> Iterator[Castore]:
    with open_castore("memory:") as castore:
        yield castore


@pytest.fixture
def large(castore: Castore) -> FileNode:
    node = castore.ingest_bytes(bytes(LARGE))
    assert isinstance(node, FileNode)
    return node


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    path = tmp_path / "bundle"
    (path / "inputs").mkdir(parents=True)
    return Bundle(path)


def test_a_build_that_was_cancelled_copies_nothing(
    castore: Castore, large: FileNode, bundle: Bundle, tmp_path: Path
) -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        describe_view(castore, {"in": large}, bundle, None, tmp_path / "views", cancel)
    with pytest.raises(Cancelled):
        link_checkouts(castore, {"in": large}, bundle, tmp_path / "cache", cancel)
    assert not (bundle.path / "view.json").exists() and not list(bundle.inputs.iterdir())
    with open_castore(bundle.path / "store") as copied:
        assert not copied.has(large)


def test_in_the_middle_of_a_file(castore: Castore, large: FileNode, tmp_path: Path) -> None:
    with open_castore(tmp_path / "near") as near:
        progress = Enough()
        with pytest.raises(Cancelled):
            copy_closure(castore, near, large, progress)
        assert not near.has(large) and progress.bytes < LARGE
    assert not list((tmp_path / "near" / "tmp").iterdir())
    with pytest.raises(Cancelled):
        checkout(castore, large, tmp_path / "cache", Enough())
    assert not list((tmp_path / "cache" / "files").iterdir())
