"""Store paths for Nix to take: a binary cache in a directory, and the stream of ``nix-store --import``."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import BinaryIO

from tvixbuild_nb.castore import Castore
from tvixbuild_nb.errors import DigestMismatch, InvalidNixData
from tvixbuild_nb.nix.hashes import NixHash
from tvixbuild_nb.nix.nar import Summing, nar_of_node
from tvixbuild_nb.nix.nar.tokens import string
from tvixbuild_nb.nix.narinfo import NarInfo, parse_narinfo
from tvixbuild_nb.nix.signing import SecretKey, signed
from tvixbuild_nb.nix.sources.binarycache import CACHE_INFO
from tvixbuild_nb.nix.sources.compression import SUFFIXES, compressed
from tvixbuild_nb.nix.sources.protocol import Fetched
from tvixbuild_nb.nix.storepath import StoreDir

# Before each path of an export, behind the last one, and between a path's NAR and what is known of it.
_ONE_MORE, _NO_MORE = (1).to_bytes(8, "little"), bytes(8)
_EXPORT_MAGIC = 0x4558494E.to_bytes(8, "little")
_NO_SIGNATURE = bytes(8)


def in_order(paths: Iterable[Fetched]) -> list[Fetched]:
    """``paths``, each once and behind those of them that it refers to; :class:`InvalidNixData` for a cycle."""
    known = {each.info.path: each for each in paths}
    graph = {path: [other for other in known[path].info.others if other in known] for path in sorted(known)}
    try:
        return [known[path] for path in TopologicalSorter(graph).static_order()]
    except CycleError as error:
        way = " -> ".join(map(str, error.args[1]))
        raise InvalidNixData(f"store paths that refer to each other in a circle: {way}", path="references") from error


def export_paths(paths: Iterable[Fetched], castore: Castore, *, store: StoreDir | None = None) -> Iterator[bytes]:
    """The bytes of ``nix-store --export``, which ``nix-store --import`` takes; ``castore`` holds the nodes.

    :class:`DigestMismatch` behind the NAR of a path that is not what its ``info`` says.
    """
    store = store or StoreDir()
    for each in in_order(paths):
        info = each.info
        yield _ONE_MORE
        yield from map(bytes, _checked(each, castore))
        references = [store.join(path) for path in info.references]
        deriver = "" if info.deriver is None else store.join(info.deriver)
        yield _EXPORT_MAGIC + string(store.join(info.path).encode())
        yield len(references).to_bytes(8, "little") + b"".join(string(path.encode()) for path in references)
        yield string(deriver.encode()) + _NO_SIGNATURE
    yield _NO_MORE


def write_binary_cache(
    place: str | Path,
    paths: Iterable[Fetched],
    castore: Castore,
    *,
    store: StoreDir | None = None,
    compression: str = "xz",
    key: SecretKey | None = None,
) -> list[NarInfo]:
    """Add ``paths`` to the binary cache in the directory ``place``, which is made when there is none.

    Paths that the cache has already stay as they are. A narinfo appears when its NAR and those of its references among
    ``paths`` are there, so that others may read meanwhile. ``compression``: none, xz or zstd; ``key`` signs.
    :class:`DigestMismatch` for a path that is not what its ``info`` says: nothing of it is left.
    """
    store, place = store or StoreDir(), Path(place)
    (place / "nar").mkdir(parents=True, exist_ok=True)
    if not (place / CACHE_INFO).exists():
        with _draft(place) as draft:
            draft.file.write(f"StoreDir: {store.path}\n".encode())
            draft.target = place / CACHE_INFO
    return [_added(place, each, castore, store, compression, key) for each in in_order(paths)]


def _added(
    place: Path, each: Fetched, castore: Castore, store: StoreDir, compression: str, key: SecretKey | None
) -> NarInfo:
    target = place / f"{each.info.path.hash_part}.narinfo"
    if target.exists():
        return parse_narinfo(target.read_bytes(), store, path=str(target))
    hasher, size = hashlib.sha256(), 0
    with _draft(place / "nar") as draft:
        for piece in compressed(_checked(each, castore), compression):
            hasher.update(piece)
            size += len(piece)
            draft.file.write(piece)
        file_hash = NixHash("sha256", hasher.digest())
        url = f"nar/{file_hash.nixbase32}.nar{SUFFIXES[compression]}"
        draft.target = place / url
    info = each.info if key is None else signed(each.info, store, key)
    found = NarInfo(info, url, compression, file_hash, size)
    with _draft(place) as draft:
        draft.file.write(found.to_text(store).encode())
        draft.target = target
    return found


def _checked(each: Fetched, castore: Castore) -> Iterator[bytes | memoryview]:
    """The NAR, and behind its last byte an error when it is not the one that is promised."""
    with Summing() as summing:
        for chunk in nar_of_node(castore, each.node):
            summing.update(chunk)
            yield chunk
        total = summing.result()
    if (total.hash, total.size) != (each.info.nar_hash, each.info.nar_size):
        raise DigestMismatch(
            f"its NAR is {total.hash}, {total.size} bytes; promised are {each.info.nar_hash}, {each.info.nar_size}",
            path=str(each.info.path),
        )


@dataclass(slots=True)
class _Draft:
    """A file that is being written, and where it goes, which may not be known before its last byte."""

    file: BinaryIO
    target: Path


@contextmanager
def _draft(directory: Path) -> Iterator[_Draft]:
    """A file in ``directory`` to write, which is at its target when all went well, and nowhere otherwise."""
    descriptor, name = tempfile.mkstemp(prefix=".", dir=directory)
    try:
        with open(descriptor, "wb") as file:
            draft = _Draft(file, Path(name))
            yield draft
            os.fchmod(file.fileno(), 0o644)
        os.replace(name, draft.target)
    except BaseException:
        os.unlink(name)
        raise
