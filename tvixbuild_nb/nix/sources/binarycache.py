"""Binary caches: narinfo files and compressed NARs in a directory or behind a web server."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator

from tvixbuild_nb.castore import Castore, Node
from tvixbuild_nb.errors import DigestMismatch, InvalidNarInfo, PathSourceError
from tvixbuild_nb.nix.hashes import NixHash
from tvixbuild_nb.nix.nar import Summing, ingest_nar
from tvixbuild_nb.nix.narinfo import NarInfo, parse_narinfo
from tvixbuild_nb.nix.pathinfo import PathInfo
from tvixbuild_nb.nix.signing import PublicKey, check_signed
from tvixbuild_nb.nix.sources.compression import decompressed
from tvixbuild_nb.nix.sources.protocol import ClosingSource, not_found
from tvixbuild_nb.nix.sources.readahead import ReadAhead
from tvixbuild_nb.nix.sources.transport import Interrupted, Transport
from tvixbuild_nb.nix.storepath import StoreDir, StorePath

CACHE_INFO = "nix-cache-info"
_TEXT_BYTES = 4 << 20
_TRIES = 3


class BinaryCache(ClosingSource):
    """What ``transport`` reaches, believed only as far as it is signed.

    Parameters: ``keys`` are trusted; without ``require_signatures`` everybody is.  Whether it is a cache at all, and
    one for ``store``, is asked before the first path: :class:`PathSourceError` when not.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        keys: Iterable[PublicKey] = (),
        require_signatures: bool = True,
        store: StoreDir | None = None,
    ) -> None:
        self.store = store or StoreDir()
        self.address = transport.address
        self.parallel = transport.parallel
        self._transport = transport
        self._keys = tuple(keys) if require_signatures else None
        self._lock = threading.Lock()
        self._found: dict[StorePath, NarInfo] = {}
        self._checked = False

    def _check_store(self) -> None:
        if self._checked:
            return
        data = self._transport.get(CACHE_INFO, _TEXT_BYTES)
        if data is None:
            raise PathSourceError(f"no binary cache: it has no {CACHE_INFO}", path=self.address)
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            name, colon, value = line.partition(":")
            if not colon:
                raise InvalidNarInfo("no field: a name and a colon", path=f"{self.address}/{CACHE_INFO}", index=number)
            if name == "StoreDir" and value.strip() != self.store.path:
                raise PathSourceError(
                    f"a cache for the store {value.strip()}, not for {self.store.path}", path=self.address
                )
        self._checked = True

    def narinfo(self, path: StorePath) -> NarInfo | None:
        """The cache's own words about ``path``, their signature checked; None when it does not have it."""
        with self._lock:
            found = self._found.get(path)
        if found is not None:
            return found
        self._check_store()
        name = f"{path.hash_part}.narinfo"
        data = self._transport.get(name, _TEXT_BYTES)
        if data is None:
            return None
        place = f"{self.address}/{name}"
        found = parse_narinfo(data, self.store, path=place)
        if found.info.path != path:
            raise PathSourceError(f"it is about {found.info.path}, not about {path}", path=place)
        if self._keys is not None:
            check_signed(found.info, self.store, self._keys, path=place)
        with self._lock:
            self._found[path] = found
        return found

    def info(self, path: StorePath) -> PathInfo | None:
        found = self.narinfo(path)
        return None if found is None else found.info

    def node(self, path: StorePath, castore: Castore) -> Node:
        found = self.narinfo(path)
        if found is None:
            raise not_found(self, path)
        for tries in range(_TRIES):
            try:
                return self._node(found, castore)
            except Interrupted:
                if tries + 1 == _TRIES:
                    raise
        raise AssertionError("unreachable")

    def _node(self, found: NarInfo, castore: Castore) -> Node:
        place = f"{self.address}/{found.url}"
        with self._transport.stream(found.url) as pieces:
            if pieces is None:
                raise PathSourceError(f"the NAR of {found.info.path} is not there, though its narinfo is", path=place)
            plain = decompressed(_checked_file(pieces, found, place), found.compression, path=place)
            with ReadAhead(_checked_nar(plain, found.info, place)) as stream:
                return ingest_nar(castore, stream, path=place).node

    def witness(self, path: StorePath) -> str | None:
        # A cache says the same of a path for ever. Who is trusted counts, too.
        keys = "any" if self._keys is None else ",".join(sorted(map(str, self._keys)))
        return hashlib.sha256(keys.encode()).hexdigest()

    def close(self) -> None:
        self._transport.close()


def _checked_file(pieces: Iterator[bytes], found: NarInfo, place: str) -> Iterator[bytes]:
    """``pieces``, and behind the last one an error when they are not what FileHash and FileSize say."""
    hasher = None if found.file_hash is None else hashlib.new(found.file_hash.algorithm, usedforsecurity=False)
    size = 0
    for piece in pieces:
        size += len(piece)
        if found.file_size is not None and size > found.file_size:
            raise DigestMismatch(f"the file has more than the {found.file_size} bytes its narinfo says", path=place)
        if hasher is not None:
            hasher.update(piece)
        yield piece
    if found.file_size is not None and size != found.file_size:
        raise DigestMismatch(f"the file has {size} bytes, its narinfo says {found.file_size}", path=place)
    if hasher is not None and found.file_hash is not None:
        got = NixHash(found.file_hash.algorithm, hasher.digest())
        if got != found.file_hash:
            raise DigestMismatch(f"the file has the hash {got}, its narinfo says {found.file_hash}", path=place)


def _checked_nar(pieces: Iterator[bytes], info: PathInfo, place: str) -> Iterator[bytes]:
    """The same for NarHash and NarSize: not a byte more is unpacked than the narinfo says."""
    size = 0
    with Summing() as summing:
        for piece in pieces:
            size += len(piece)
            if size > info.nar_size:
                raise DigestMismatch(f"the NAR has more than the {info.nar_size} bytes its narinfo says", path=place)
            summing.update(piece)
            yield piece
        total = summing.result()
    if total.size != info.nar_size:
        raise DigestMismatch(f"the NAR has {total.size} bytes, its narinfo says {info.nar_size}", path=place)
    if total.hash != info.nar_hash:
        raise DigestMismatch(f"the NAR has the hash {total.hash}, its narinfo says {info.nar_hash}", path=place)
