"""NARs beside Nix's own: written alike, read alike."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest

from support.nix import Nix
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.nix.nar import ingest_nar, nar_of_node, nar_of_path, sum_of_node

pytestmark = pytest.mark.integration


@pytest.fixture
def nix(tmp_path: Path) -> Nix:
    return Nix(tmp_path / "nix")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tree with some of everything, names in no order and lengths around every border."""
    top = tmp_path / "source"
    for place in ("z", "a/b/c", "a.b", "empty", "ünï"):
        (top / place).mkdir(parents=True)
    for length in (*range(18), 1023, 1024, 131071, 131072, 131073, 3_000_001):
        (top / "z" / f"file{length}").write_bytes(os.urandom(length))
    (top / "a" / "run").write_bytes(b"#!")
    (top / "a" / "run").chmod(0o744)
    (top / "a" / "group").write_bytes(b"#!")
    (top / "a" / "group").chmod(0o654)
    (top / "a" / "link").symlink_to("../nowhere")
    (top / "broken").symlink_to("/nix/store/nothing")
    (Path(os.fsdecode(os.fsencode(top) + b"/\xff\n"))).write_bytes(b"x")
    return top


def test_nix_writes_the_same(nix: Nix, source: Path) -> None:
    dumped = nix("nix-store", "--dump", source)
    with open_castore("memory:") as castore:
        node = castore.ingest(source)
        assert b"".join(map(bytes, nar_of_path(source))) == dumped
        assert b"".join(map(bytes, nar_of_node(castore, node))) == dumped
        assert ingest_nar(castore, io.BytesIO(dumped)).node == node
        total = sum_of_node(castore, node)
        assert nix("nix", "hash", "path", source).decode().strip() == total.hash.sri
        assert total.size == len(dumped)


@pytest.mark.parametrize("kind", ["a/run", "a/link", "empty"])
def test_what_is_no_directory_with_entries(nix: Nix, source: Path, kind: str) -> None:
    dumped = nix("nix-store", "--dump", source / kind)
    with open_castore("memory:") as castore:
        assert b"".join(map(bytes, nar_of_node(castore, castore.ingest(source / kind)))) == dumped


def test_nix_restores_what_we_write(nix: Nix, source: Path, tmp_path: Path) -> None:
    with open_castore("memory:") as castore:
        node = castore.ingest(source)
        data = b"".join(map(bytes, nar_of_node(castore, node)))
        target = tmp_path / "restored"
        subprocess.run(["nix-store", "--restore", target], input=data, env=nix.environment, check=True)
        assert castore.ingest(target) == node
