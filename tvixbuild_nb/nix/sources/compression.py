"""Taking compressed streams apart in bounded memory."""

from __future__ import annotations

import bz2
import lzma
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from tvixbuild_nb.errors import PathSourceError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_MOST = 1 << 20
_XZ_MEMORY = 512 << 20  # xz -9 asks for 65 MiB


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """zlib's decompressor with the manners of the others."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)
        self._rest = b""

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._rest and not self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        out = self._inner.decompress(self._rest + data, max_length)
        self._rest = self._inner.unconsumed_tail
        return out


_MAKERS: dict[str, Callable[[], _Decompressor]] = {
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY),
    "zstd": zstd.ZstdDecompressor,
    "bzip2": bz2.BZ2Decompressor,
    "gzip": _Gzip,
}
KNOWN = ("none", *_MAKERS)
# A file's name may say it.
SUFFIXES = {"none": "", "xz": ".xz", "zstd": ".zst", "bzip2": ".bz2", "gzip": ".gz"}


def decompressed(chunks: Iterable[bytes], compression: str, *, path: str | None = None) -> Iterator[bytes]:
    """What ``chunks`` are when taken apart, in pieces of at most 1 MiB; :class:`PathSourceError` for damage.

    ``compression`` is the word of a .narinfo: none, xz, zstd, bzip2 or gzip.
    """
    if compression in ("none", ""):
        yield from chunks
        return
    make = _MAKERS.get(compression)
    if make is None:
        known = ", ".join(KNOWN)
        raise PathSourceError(f"NARs compressed with {compression} are not read", path=path, hint=f"known: {known}")
    try:
        yield from _decompress(make, chunks)
    except (lzma.LZMAError, zlib.error, zstd.ZstdError, EOFError, OSError) as error:
        raise PathSourceError(f"the {compression} stream is damaged: {error}", path=path) from error


def _decompress(make: Callable[[], _Decompressor], chunks: Iterable[bytes]) -> Iterator[bytes]:
    current = make()
    begun = False
    for chunk in chunks:
        data = chunk
        while data or not current.needs_input:
            if current.eof:  # several streams may follow one another
                current, begun = make(), False
            begun = True
            out = current.decompress(data, _MOST)
            data = current.unused_data if current.eof else b""
            if out:
                yield out
            if current.eof and not data:
                break
    if not begun or not current.eof:
        raise EOFError("it ends too early")


def compressed(chunks: Iterable[bytes | memoryview], compression: str) -> Iterator[bytes]:
    """``chunks`` compressed as a .narinfo's ``compression`` says: none, xz or zstd."""
    if compression == "none":
        yield from map(bytes, chunks)
        return
    known = {"xz": lzma.LZMACompressor, "zstd": zstd.ZstdCompressor}
    if compression not in known:
        raise PathSourceError(f"NARs are not written with {compression}", hint="known: none, xz, zstd")
    machine = known[compression]()
    for chunk in chunks:
        if out := machine.compress(bytes(chunk)):
            yield out
    yield machine.flush()
