"""Checkouts as such: sharing, crashes, several processes, clearing away."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from support.fs_trees import File, Link, plant, read_back
from tvixbuild_nb.castore import Castore, Digest, DirectoryNode, FileNode, Node, SymlinkNode, open_castore
from tvixbuild_nb.errors import ExportError, NotFound
from tvixbuild_nb.fs import checkout, remove_checkouts

TREE = {b"a": File(b"same"), b"b": File(b"same"), b"x": File(b"same", True), b"d": {b"l": Link(b"../a")}}


@pytest.fixture
def castore(tmp_path: Path) -> Iterator[Castore]:
    with open_castore(f"file:{tmp_path}/store") as castore:
        yield castore


def directory(castore: Castore, tree: dict[bytes, object] = TREE) -> DirectoryNode:
    node = plant(castore, tree)
    assert isinstance(node, DirectoryNode)
    return node


def test_made_once_and_shared_by_hard_links(castore: Castore, tmp_path: Path) -> None:
    node = directory(castore)
    path = checkout(castore, node, tmp_path / "cache")
    made = path.stat().st_ctime_ns
    assert checkout(castore, node, tmp_path / "cache") == path
    assert path.stat().st_ctime_ns == made
    a, b, x = (os.stat(path / name) for name in "abx")
    assert a.st_ino == b.st_ino != x.st_ino
    other = checkout(castore, directory(castore, {b"again": File(b"same")}), tmp_path / "cache")
    assert (other / "again").stat().st_ino == a.st_ino


def test_single_files_and_links(castore: Castore, tmp_path: Path) -> None:
    file = checkout(castore, castore.ingest_bytes(b"data", executable=True), tmp_path / "cache")
    assert file.read_bytes() == b"data"
    assert file.stat().st_mode & 0o777 == 0o555
    link = checkout(castore, SymlinkNode(b"/no/where"), tmp_path / "cache")
    assert os.readlink(link) == "/no/where"
    assert checkout(castore, SymlinkNode(b"/no/where"), tmp_path / "cache") == link


def test_what_a_power_cut_left_is_mended_after_the_next_boot(castore: Castore, tmp_path: Path) -> None:
    node = directory(castore)
    path = checkout(castore, node, tmp_path / "cache")
    os.chmod(path / "a", 0o644)
    os.truncate(path / "a", 0)
    path.with_suffix(".boot").write_text("an earlier boot")
    assert read_back(os.fsencode(checkout(castore, node, tmp_path / "cache"))) == TREE


def test_a_missing_blob_leaves_nothing_half_made(castore: Castore, tmp_path: Path) -> None:
    lost = FileNode(Digest.of(b"lost"), 4)
    from tvixbuild_nb.castore import Directory

    broken = Directory({b"a": castore.ingest_bytes(b"x"), b"lost": lost})
    node = DirectoryNode(castore.directories.put(broken), broken.size)
    for missing in (node, lost, DirectoryNode(Digest.of(b"no dir"), 0)):
        with pytest.raises(NotFound):
            checkout(castore, missing, tmp_path / "cache")
    assert os.listdir(tmp_path / "cache/trees") == []
    assert all(not name.startswith(".") for name in os.listdir(tmp_path / "cache/files"))


def test_an_unusable_cache_directory_is_an_error(castore: Castore, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match="cannot check out"):
        checkout(castore, directory(castore), tmp_path / "file" / "cache")


def check_out(address: str, node: Node, cache: str) -> str:
    with open_castore(address) as castore:
        return str(checkout(castore, node, cache))


def test_several_processes_at_once_make_one(castore: Castore, tmp_path: Path) -> None:
    node = directory(castore, {b"%d" % i: File(b"%d" % (i % 50)) for i in range(400)})
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(check_out, castore.address, node, str(tmp_path / "cache")) for _ in range(8)]
        paths = {future.result() for future in futures}
    assert len(paths) == 1
    assert len(os.listdir(paths.pop())) == 400
    assert sorted(os.listdir(tmp_path / "cache/trees")) == [node.digest.hex(), f"{node.digest.hex()}.boot"]
    assert len(os.listdir(tmp_path / "cache/files")) == 50


def test_clearing_away_keeps_what_is_asked_for(castore: Castore, tmp_path: Path) -> None:
    kept, gone = directory(castore), directory(castore, {b"only": File(b"here")})
    path = checkout(castore, kept, tmp_path / "cache")
    checkout(castore, gone, tmp_path / "cache")
    assert remove_checkouts(tmp_path / "cache", keep=[kept.digest]) == 1
    assert read_back(os.fsencode(path)) == TREE
    assert len(os.listdir(tmp_path / "cache/files")) == 2
    assert remove_checkouts(tmp_path / "cache") == 1
    assert os.listdir(tmp_path / "cache/files") == os.listdir(tmp_path / "cache/trees") == []
