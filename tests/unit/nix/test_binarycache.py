"""Binary caches that are damaged or lie, and streams that are compressed."""

from __future__ import annotations

import bz2
import gzip
import lzma
from dataclasses import replace
from pathlib import Path

import pytest

from support import nars
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.errors import DigestMismatch, InvalidAddress, PathSourceError
from tvixbuild_nb.nix import NixHash, StorePath
from tvixbuild_nb.nix.narinfo import NarInfo
from tvixbuild_nb.nix.pathinfo import PathInfo
from tvixbuild_nb.nix.sources import open_path_source
from tvixbuild_nb.nix.sources.compression import compressed, decompressed

NAR = nars.nar(nars.regular(b"x" * 100_000))
PATH = StorePath(bytes(20), "thing")
INFO = PathInfo(PATH, NixHash.of("sha256", NAR), len(NAR))


def cache(tmp_path: Path, data: bytes, **changes: object) -> str:
    """A cache with one path whose file holds ``data``."""
    (tmp_path / "nix-cache-info").write_text("StoreDir: /nix/store\n")
    (tmp_path / "x.nar").write_bytes(data)
    found = replace(NarInfo(INFO, "x.nar", "none"), **changes)
    (tmp_path / f"{PATH.hash_part}.narinfo").write_text(found.to_text())
    return f"file://{tmp_path}"


@pytest.mark.parametrize(
    ("data", "changes", "message"),
    [
        (NAR[:-8], {}, "the NAR has|ends in the middle"),
        (NAR.replace(b"xx", b"xy", 1), {}, "the NAR has the hash"),
        (NAR + b"more", {}, "behind the end|more than"),
        (NAR, {"file_size": len(NAR) - 1}, "the file has more than"),
        (NAR, {"file_size": len(NAR) + 1}, "the file has"),
        (NAR, {"file_hash": NixHash.of("sha256", b"")}, "the file has the hash"),
        (NAR, {"compression": "xz"}, "xz stream is damaged"),
        (lzma.compress(NAR)[:-9], {"compression": "xz"}, "xz stream is damaged: it ends too early"),
        (NAR, {"compression": "rar"}, "compressed with rar are not read"),
        (NAR, {"url": "../x.nar"}, "leads out of the cache"),
        (NAR, {"url": "nothing.nar"}, "is not there, though its narinfo is"),
        (lzma.compress(bytes(50 << 20)), {"compression": "xz"}, "more than|expected"),
        (NAR, {"info": replace(INFO, path=StorePath(bytes(20), "other"))}, "about 0{32}-other"),
    ],
)  # fmt: skip
def test_nothing_of_what_is_wrong_is_stored(
    tmp_path: Path, data: bytes, changes: dict[str, object], message: str
) -> None:
    (tmp_path / "cache").mkdir()
    with open_castore(tmp_path / "castore") as castore:
        source = open_path_source(cache(tmp_path / "cache", data, **changes), require_signatures=False)
        with pytest.raises((PathSourceError, DigestMismatch, ValueError), match=message):
            source.node(PATH, castore)
        assert castore.beginning_with("") == []


@pytest.mark.parametrize("compression", ["none", "xz", "zstd", "bzip2", "gzip"])
def test_every_compression(tmp_path: Path, compression: str) -> None:
    others = {"bzip2": bz2.compress, "gzip": gzip.compress}
    make = others.get(compression, lambda data: b"".join(compressed([data], compression)))
    with open_castore("memory:") as castore:
        source = open_path_source(cache(tmp_path, make(NAR), compression=compression), require_signatures=False)
        assert source.node(PATH, castore) == castore.ingest_bytes(b"x" * 100_000)
    two = make(NAR[:1000]) + make(NAR[1000:])
    for step in (7, len(two)):
        pieces = [two[start : start + step] for start in range(0, len(two), step)]
        assert b"".join(decompressed(pieces, compression)) == NAR


def test_pieces_are_bounded() -> None:
    packed = b"".join(compressed([bytes(1 << 20)] * 64, "zstd"))
    assert len(packed) < 100_000
    assert max(map(len, decompressed([packed], "zstd"))) <= 1 << 20


def test_what_is_no_cache(tmp_path: Path) -> None:
    with pytest.raises(PathSourceError, match="it has no nix-cache-info"):
        open_path_source(f"file://{tmp_path}", require_signatures=False).info(PATH)
    (tmp_path / "nix-cache-info").write_text("StoreDir: /gnu/store\n")
    with pytest.raises(PathSourceError, match="a cache for the store /gnu/store"):
        open_path_source(f"file://{tmp_path}", require_signatures=False).info(PATH)


@pytest.mark.parametrize("address", ["", "ftp://x", "file:x", "file://host/x", "local?what=1", "/nix/store", "http://"])
def test_an_address_of_nothing(address: str) -> None:
    with pytest.raises(InvalidAddress) as caught:
        open_path_source(address)
    assert "known: local" in str(caught.value)
    # A path alone could be either.
    assert ("(file:///nix/store)" in str(caught.value)) == address.startswith("/")
