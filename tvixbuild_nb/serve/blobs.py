"""The BlobService of a server: Stat, Read, Put over a store, in chunks of a bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError, Message

from tvixbuild_nb.castore import Castore, Digest
from tvixbuild_nb.castore.remote.connection import CHUNK, MESSAGE
from tvixbuild_nb.castore.remote.messages import answering, chunk_data, chunk_message
from tvixbuild_nb.errors import InvalidNode, NotFound
from tvixbuild_nb.proto import castore_pb2
from tvixbuild_nb.serve.gathering import SMALL, Gathering

if TYPE_CHECKING:
    import grpc


class BlobHandlers:
    """Answers about the blobs of ``castore``."""

    def __init__(self, castore: Castore) -> None:
        self._castore = castore
        self._small = Gathering(castore)

    def stat(self, data: bytes, call: grpc.ServicerContext) -> bytes:
        """NOT_FOUND, or that it is there; asked for chunks, the whole blob as one."""
        request = castore_pb2.StatBlobRequest()
        digest = digest_in(request, data)
        size = self._castore.blobs.size(digest)
        if size is None:
            raise self._unknown(digest)
        answer = castore_pb2.StatBlobResponse()
        if request.send_chunks:
            answer.chunks.add(digest=digest, size=size)
        return answer.SerializeToString()

    def read(self, data: bytes, call: grpc.ServicerContext) -> Iterator[bytes]:
        """The blob in chunks; an empty one is no chunk."""
        digest = digest_in(castore_pb2.ReadBlobRequest(), data)
        stream = self._castore.blobs.open_read(digest)
        if stream is None:
            raise self._unknown(digest)
        with stream:
            while chunk := stream.read(CHUNK):
                yield chunk_message(chunk)

    def put(self, messages: Iterator[bytes], call: grpc.ServicerContext) -> bytes:
        """Store what comes; nothing of it is there before its end, or when the caller goes away."""
        chunks, begin = _chunks(messages), bytearray()
        for chunk in chunks:
            begin += chunk
            if len(begin) > SMALL:
                break
        else:
            return answering(self._small.put(bytes(begin)))
        with self._castore.blobs.open_write() as writer:
            writer.write(memoryview(begin))
            for chunk in chunks:
                writer.write(chunk)
            return answering(writer.close())

    def _unknown(self, digest: Digest) -> NotFound:
        return NotFound("the store does not hold this blob", path=str(digest))


def _chunks(messages: Iterator[bytes]) -> Iterator[memoryview]:
    for index, message in enumerate(messages):
        chunk = chunk_data(message)
        if len(chunk) > MESSAGE:
            raise InvalidNode(
                f"a chunk has at most {MESSAGE:,} bytes, this one {len(chunk):,}", path="chunk", index=index,
                hint="where a blob is cut means nothing: send smaller pieces",
            )  # fmt: skip
        yield chunk


def digest_in(request: Message, data: bytes) -> Digest:
    """Read ``data`` into ``request``, whose field ``digest`` is asked for; :class:`InvalidNode` for a wrong one."""
    try:
        request.ParseFromString(data)
    except DecodeError as error:
        raise InvalidNode(f"not a {request.DESCRIPTOR.full_name}: {error}", path="request") from None
    return Digest(request.digest)  # type: ignore[attr-defined]
