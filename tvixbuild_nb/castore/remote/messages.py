"""The castore services' messages by hand: they are a field or two, and blobs are copied no more than must be.

StatBlobRequest      1 digest, 2 send_chunks      GetDirectoryRequest   1 digest, 2 recursive
ReadBlobRequest      1 digest                     BlobChunk             1 data
PutBlobResponse      1 digest                     PutDirectoryResponse  1 root_digest
"""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import DecodeError

from tvixbuild_nb.castore.digest import DIGEST_SIZE, Digest
from tvixbuild_nb.errors import InvalidNode
from tvixbuild_nb.proto import castore_pb2

_HEAD = b"\x0a" + bytes((DIGEST_SIZE,))
_FLAG = b"\x10\x01"


def asking_for(digest: Digest, *, flag: bool = False) -> bytes:
    """A request of one digest; ``flag`` is its second field, send_chunks or recursive."""
    return _HEAD + digest + (_FLAG if flag else b"")


def answering(digest: Digest) -> bytes:
    """The answer to a Put."""
    return _HEAD + digest


def answered(data: bytes) -> Digest:
    """The digest in the answer to a Put; :class:`InvalidNode` when there is none."""
    try:
        return Digest(castore_pb2.PutBlobResponse.FromString(data).digest)
    except DecodeError as error:
        raise InvalidNode(f"not a digest in a message: {error}", path="digest") from None


def chunk_message(data: bytes | memoryview) -> bytes:
    """A BlobChunk of ``data``."""
    length, head = len(data), bytearray(b"\x0a")
    while length >= 0x80:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return b"".join((head, data)) if data else b""


def chunk_data(message: bytes) -> memoryview:
    """The bytes in a BlobChunk, without a copy where it is written as everybody does.

    :class:`InvalidNode` for what is no such message.
    """
    view, position, length, shift = memoryview(message), 1, 0, 0
    if message[:1] == b"\x0a":
        for byte in message[1:6]:
            length |= (byte & 0x7F) << shift
            position, shift = position + 1, shift + 7
            if byte < 0x80:
                if position + length == len(message):
                    return view[position:]
                break
    try:
        return memoryview(castore_pb2.BlobChunk.FromString(message).data)
    except DecodeError as error:
        raise InvalidNode(f"not a BlobChunk: {error}", path="chunk") from None


def pieces(data: bytes | memoryview, size: int) -> Iterator[memoryview]:
    """``data`` in pieces of at most ``size`` bytes; nothing for nothing."""
    view = memoryview(data)
    for start in range(0, len(view), size):
        yield view[start : start + size]
