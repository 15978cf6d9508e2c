"""The ManyBlobsService of a server: what is missing, and small blobs, many in one call."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from tvixbuild_nb.castore import Castore, Digest, FileNode
from tvixbuild_nb.castore.ahead import small_of
from tvixbuild_nb.castore.remote.connection import CHUNK, MESSAGE
from tvixbuild_nb.castore.services import SMALL
from tvixbuild_nb.errors import InvalidNode
from tvixbuild_nb.proto import manyblobs_pb2

if TYPE_CHECKING:
    import grpc

# Of a store that reads many together: what is in memory of it.
_TOGETHER = 32


class ManyBlobsHandlers:
    """Answers about many blobs of ``castore``."""

    def __init__(self, castore: Castore) -> None:
        self._castore = castore

    def missing(self, data: bytes, call: grpc.ServicerContext) -> bytes:
        """Those of the asked ones that are not there, in their order."""
        try:
            asked = [Digest(digest) for digest in manyblobs_pb2.MissingRequest.FromString(data).digests]
        except DecodeError as error:
            raise InvalidNode(f"not a MissingRequest: {error}", path="request") from None
        absent = self._castore.blobs.missing(asked)
        found = [digest for digest in asked if digest in absent]
        return manyblobs_pb2.MissingResponse(digests=found).SerializeToString()

    def get(self, data: bytes, call: grpc.ServicerContext) -> Iterator[bytes]:
        """Those of the asked ones that are there and small; of larger ones, that they are there."""
        if len(data) > MESSAGE:
            raise InvalidNode(f"at most {MESSAGE:,} bytes of digests in a call, not {len(data):,}", path="digests")
        try:
            asked = [Digest(digest) for digest in manyblobs_pb2.GetManyRequest.FromString(data).digests]
        except DecodeError as error:
            raise InvalidNode(f"not a GetManyRequest: {error}", path="request") from None
        answer, size = manyblobs_pb2.GetManyResponse(), 0
        for digest, blob in self._beginnings(asked):
            if len(blob) > SMALL:
                answer.larger.append(digest)
                continue
            if size + len(blob) > CHUNK:
                yield answer.SerializeToString()
                answer, size = manyblobs_pb2.GetManyResponse(), 0
            answer.blobs.append(blob)
            size += len(blob)
        yield answer.SerializeToString()

    def _beginnings(self, asked: list[Digest]) -> Iterator[tuple[Digest, bytes]]:
        """The blobs that are there, of a large one no more than shows that it is one."""
        blobs = self._castore.blobs
        wanted = iter(dict.fromkeys(asked))
        while part := list(islice(wanted, _TOGETHER)):
            together = small_of(blobs, part)
            for digest in part:
                if (found := together.get(digest)) is not None:
                    yield digest, found
                elif (stream := blobs.open_read(digest)) is not None:
                    with stream:
                        yield digest, stream.read(SMALL + 1)

    def put(self, data: bytes, call: grpc.ServicerContext) -> bytes:
        """Store all of them, or none."""
        if len(data) > MESSAGE:
            raise InvalidNode(f"at most {MESSAGE:,} bytes of blobs in a call, not {len(data):,}", path="blobs")
        try:
            blobs = [(Digest.of(blob), blob) for blob in manyblobs_pb2.PutManyRequest.FromString(data).blobs]
        except DecodeError as error:
            raise InvalidNode(f"not a PutManyRequest: {error}", path="request") from None
        with self._castore.batch() as batch:
            batch.put_blobs(blobs)
            batch.commit(*(FileNode(digest, len(blob)) for digest, blob in blobs))
        return manyblobs_pb2.PutManyResponse(digests=[digest for digest, _ in blobs]).SerializeToString()
