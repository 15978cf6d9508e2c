"""Binary caches and exports that we write; that Nix takes them is shown where Nix is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.errors import DigestMismatch, InvalidNixData, PathSourceError
from tvixbuild_nb.nix import StorePath
from tvixbuild_nb.nix.nar import sum_of_node
from tvixbuild_nb.nix.pathinfo import PathInfo
from tvixbuild_nb.nix.publishing import export_paths, in_order, write_binary_cache
from tvixbuild_nb.nix.signing import SecretKey
from tvixbuild_nb.nix.sources import Fetched, fetch, open_path_source

LEAF, MIDDLE, TOP = (StorePath(bytes([digit]) * 20, name) for digit, name in ((3, "leaf"), (2, "middle"), (1, "top")))


@pytest.fixture
def castore() -> Iterator[Castore]:
    with open_castore("memory:") as castore:
        yield castore


def fetched(castore: Castore, path: StorePath, *references: StorePath) -> Fetched:
    node = castore.ingest_bytes(f"{path} needs {references}".encode() * 100)
    total = sum_of_node(castore, node)
    return Fetched(PathInfo(path, total.hash, total.size, references), node)


@pytest.fixture
def paths(castore: Castore) -> list[Fetched]:
    return [fetched(castore, TOP, TOP, MIDDLE, LEAF), fetched(castore, MIDDLE, LEAF), fetched(castore, LEAF)]


@pytest.mark.parametrize("compression", ["none", "xz", "zstd"])
def test_what_is_written_is_read_again(
    castore: Castore, paths: list[Fetched], tmp_path: Path, compression: str
) -> None:
    key = SecretKey.generate("here-1")
    place = tmp_path / "a" / "cache"
    written = write_binary_cache(place, paths, castore, compression=compression, key=key)
    assert [found.info.path for found in written] == [LEAF, MIDDLE, TOP]
    assert write_binary_cache(place, paths, castore, compression="none") == written, "what is there stays"
    with open_castore("memory:") as other, open_path_source(f"file://{place}", keys=[key.public]) as source:
        infos = {each.info.path: source.info(each.info.path) for each in paths}
        assert [replace(info, signatures=()) for info in infos.values() if info] == [each.info for each in paths]
        found = fetch(source, {path: info for path, info in infos.items() if info}, other)
        assert [found[each.info.path].node for each in paths] == [each.node for each in paths]
    assert sorted(path.name for path in place.iterdir() if path.suffix != ".narinfo") == ["nar", "nix-cache-info"]
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in place.rglob("*") if path.is_file())


def test_nothing_is_left_of_what_is_not_as_promised(castore: Castore, paths: list[Fetched], tmp_path: Path) -> None:
    wrong = replace(paths[1], node=paths[2].node)
    with pytest.raises(DigestMismatch, match="its NAR is sha256:.* promised are") as raised:
        write_binary_cache(tmp_path, [paths[2], wrong, paths[0]], castore)
    assert raised.value.path == str(MIDDLE)
    assert [path.name for path in tmp_path.glob("*.narinfo")] == [f"{LEAF.hash_part}.narinfo"]
    assert len(list((tmp_path / "nar").iterdir())) == 1
    with pytest.raises(DigestMismatch, match="promised"):
        list(export_paths([wrong], castore))
    with pytest.raises(PathSourceError, match="not written with rar"):
        write_binary_cache(tmp_path / "rar", paths, castore, compression="rar")
    assert [path.name for path in (tmp_path / "rar").rglob("*") if path.is_file()] == ["nix-cache-info"]


def test_references_come_first_and_circles_are_refused(castore: Castore, paths: list[Fetched]) -> None:
    assert [each.info.path for each in in_order([*paths, *paths])] == [LEAF, MIDDLE, TOP]
    assert [each.info.path for each in in_order(paths[:1])] == [TOP], "what is not here is somewhere else"
    circle = [paths[0], fetched(castore, LEAF, TOP)]
    with pytest.raises(
        InvalidNixData, match="in a circle: .*-leaf -> .*-top -> .*-leaf|in a circle: .*-top -> .*-leaf"
    ):
        in_order(circle)


def test_an_export_ends_and_is_aligned(castore: Castore, paths: list[Fetched]) -> None:
    data = b"".join(export_paths(paths, castore))
    assert data[:8] == (1).to_bytes(8, "little") and data[-8:] == bytes(8) and len(data) % 8 == 0
    assert data.count(b"NIXE") == 3 and b"".join(export_paths([], castore)) == bytes(8)
