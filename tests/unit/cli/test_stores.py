"""castore sync: from store to store, as much as is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.cli import Command
from tvixbuild_nb.castore import Castore, DirectoryNode, open_castore


@pytest.fixture
def source(tmp_path: Path) -> str:
    return f"{tmp_path}/source"


@pytest.fixture
def node(source: str, tmp_path: Path) -> DirectoryNode:
    (tmp_path / "tree/below").mkdir(parents=True)
    (tmp_path / "tree/below/a").write_bytes(b"12345")
    (tmp_path / "tree/b").write_bytes(b"1234567890")
    with open_castore(source) as castore:
        node = castore.ingest(tmp_path / "tree")
        castore.ingest_bytes(b"of no tree")
    assert isinstance(node, DirectoryNode)
    return node


def opened(address: str) -> Castore:
    return open_castore(address, read_only=True)


def test_all_and_again(command: Command, source: str, node: DirectoryNode, tmp_path: Path) -> None:
    target = f"objectstore+file:{tmp_path}/target"
    assert command("castore", "sync", source, target) == (
        "copied 3 blobs (25 B) and 2 directories\n0 blobs and 0 directories were there already\n"
    )
    assert command("castore", "sync", source, target) == (
        "copied 0 blobs (0 B) and 0 directories\n3 blobs and 2 directories were there already\n"
    )
    with opened(target) as castore:
        assert castore.has_closure(node)


def test_roots(command: Command, source: str, node: DirectoryNode, tmp_path: Path) -> None:
    target = f"{tmp_path}/target"
    found = command.json("castore", "sync", source, target, f"{str(node.digest)[:12]}/below")
    assert found == {
        "dry_run": False, "blobs": 1, "directories": 1, "bytes": 5, "blobs_there": 0, "directories_there": 0
    }  # fmt: skip
    found = command.json("castore", "sync", source, target, str(node.digest), "--dry-run")
    assert (found["blobs"], found["directories"], found["bytes"], found["blobs_there"]) == (1, 1, 10, 1)
    with opened(target) as castore:
        assert not castore.has(node)


def test_a_dry_run_makes_no_store(command: Command, source: str, node: DirectoryNode, tmp_path: Path) -> None:
    assert command("castore", "sync", source, str(tmp_path / "target"), "--dry-run").startswith(
        "would copy 3 blobs (25 B) and 2 directories"
    )
    assert not (tmp_path / "target").exists()


def test_what_cannot_be(command: Command, source: str, node: DirectoryNode, tmp_path: Path) -> None:
    command("castore", "sync", str(tmp_path / "nothing"), source, status=1)
    assert "there is no store here" in command.err
    command("castore", "sync", f"cache(memory:, {source})", "memory:", status=1)
    assert "cannot list what it holds" in command.err and "name the roots" in command.err
    command("castore", "sync", source, "ftp://x", status=2)
    assert "objectstore+s3:" in command.err
