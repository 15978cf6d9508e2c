"""Where things lie in object storage, the version of that, and the list of chunks of a large blob."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tvixbuild_nb.castore.digest import DIGEST_SIZE, Digest
from tvixbuild_nb.errors import StoreError

VERSION: Final = 1
VERSION_KEY: Final = "version"
_TITLE: Final = "tvixbuild-nb objects"

BLOBS: Final = "blobs"
CHUNKS: Final = "chunks"
DIRECTORIES: Final = "directories"
PINS: Final = "pins"

# Large enough that the way there and back does not dominate, small enough that a part of it can be had by reading it
# whole, which is what checking it asks for. A part of the format: a list of chunks does not repeat it.
CHUNK: Final = 4 << 20

# What a list of chunks begins with. A blob that happens to begin so is stored in chunks, however small it is.
_MAGIC: Final = b"tvixbuild-nb: blob in chunks\n"
_HEAD: Final = len(_MAGIC) + DIGEST_SIZE + 8


def key(kind: str, digest: Digest) -> str:
    """The key of what has this digest; two digits of it are a level, for those who list or browse."""
    text = digest.hex()
    return f"{kind}/{text[:2]}/{text}"


def digest_of(key: str) -> Digest | None:
    """The digest in a key of :func:`key`'s form; None for anything else."""
    name = key.rpartition("/")[2]
    try:
        return Digest.from_hex(name) if len(name) == 2 * DIGEST_SIZE else None
    except ValueError:
        return None


def version_text() -> bytes:
    """What the version object holds."""
    return f"{_TITLE} {VERSION}\n".encode()


def check_version(data: bytes, address: str) -> None:
    """Refuse (:class:`StoreError`) what is no version object, or one of a newer format."""
    text = data[:80].decode("utf-8", "replace").strip()
    title, _, number = text.rpartition(" ")
    if title != _TITLE or not number.isdecimal():
        raise StoreError(f"not a store's version object: {text!r}", path=f"{address}/{VERSION_KEY}")
    if int(number) > VERSION:
        raise StoreError(
            f"the store has format {number}, this program knows formats up to {VERSION}",
            path=address,
            hint="use a newer tvixbuild-nb, or another store",
        )


@dataclass(frozen=True, slots=True)
class Chunks:
    """The chunks of the blob ``digest`` of ``size`` bytes, in order; all have :data:`CHUNK` bytes but the last one.

    Stored, it names the blob and ends with a digest of itself: a list that is damaged, or another blob's, is told by
    looking at it alone. One that somebody has forged is told by reading the whole blob.
    """

    digest: Digest
    size: int
    digests: tuple[Digest, ...]

    def encode(self) -> bytes:
        data = b"".join((_MAGIC, self.digest, self.size.to_bytes(8), *self.digests))
        return data + Digest.of(data)


def must_be_chunked(data: bytes | bytearray) -> bool:
    """Whether a blob that begins with ``data``, a chunk or less, cannot be stored as it is."""
    return len(data) > CHUNK or data.startswith(_MAGIC)


def may_be_chunks(size: int) -> bool:
    """Whether an object of ``size`` bytes may be a list of chunks; of the others the size alone is the blob's."""
    return size > _HEAD and (size - _HEAD) % DIGEST_SIZE == 0


def decode_chunks(data: bytes, digest: Digest) -> Chunks | None:
    """The list of chunks of the blob ``digest``; None when ``data`` is a blob itself. ValueError for a wrong list."""
    if not data.startswith(_MAGIC):
        return None
    end = len(data) - DIGEST_SIZE
    if end < _HEAD or data[end:] != Digest.of(data[:end]):
        raise ValueError("it does not end with its own digest")
    if data[len(_MAGIC) :][:DIGEST_SIZE] != digest:
        raise ValueError("it is another blob's")
    size = _size(data)
    digests = tuple(Digest(data[at : at + DIGEST_SIZE]) for at in range(_HEAD, end, DIGEST_SIZE))
    if size == 0 or len(digests) != -(-size // CHUNK):
        raise ValueError(f"{len(digests)} chunks for {size} bytes")
    return Chunks(digest, size, digests)


def _size(head: bytes) -> int:
    return int.from_bytes(head[_HEAD - 8 : _HEAD])


def chunked_size(head: bytes) -> int | None:
    """The size of the blob whose list of chunks begins with ``head`` (:data:`HEAD` bytes); None when it is none."""
    return _size(head) if head.startswith(_MAGIC) else None


HEAD: Final = _HEAD
