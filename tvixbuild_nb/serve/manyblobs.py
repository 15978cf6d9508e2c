"""The ManyBlobsService of a server: what is missing, and small blobs, many in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from tvixbuild_nb.castore import Castore, Digest, FileNode
from tvixbuild_nb.castore.remote.connection import MESSAGE
from tvixbuild_nb.errors import InvalidNode
from tvixbuild_nb.proto import manyblobs_pb2

if TYPE_CHECKING:
    import grpc


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
