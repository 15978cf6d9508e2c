"""The DirectoryService of a server: closures come leaves first and are checked as a whole, and go root first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tvixbuild_nb.castore import Castore, encode_directory
from tvixbuild_nb.castore.remote.messages import answering
from tvixbuild_nb.castore.remote.order import LeavesFirst
from tvixbuild_nb.errors import NotFound, RemoteStoreError
from tvixbuild_nb.proto import castore_pb2
from tvixbuild_nb.serve.blobs import digest_in

if TYPE_CHECKING:
    import grpc

# A closure is held in memory until its root has come.
MAX_CLOSURE = 256 << 20


class DirectoryHandlers:
    """Answers about the directories of ``castore``."""

    def __init__(self, castore: Castore) -> None:
        self._castore = castore

    def get(self, data: bytes, call: grpc.ServicerContext) -> Iterator[bytes]:
        """One directory, or with recursive all below it, breadth first, each once.

        An unknown one is NOT_FOUND; with recursive it is an answer of nothing, as Snix's clients expect.
        """
        request = castore_pb2.GetDirectoryRequest()
        digest = digest_in(request, data)
        if request.recursive:
            yield from map(encode_directory, self._castore.directories.get_closure(digest))
            return
        directory = self._castore.directories.get(digest)
        if directory is None:
            raise NotFound("the store does not hold this directory", path=str(digest))
        yield encode_directory(directory)

    def put(self, messages: Iterator[bytes], call: grpc.ServicerContext) -> bytes:
        """Store a closure; nothing of it is there before all of it proved right, or when the caller goes away."""
        order, size = LeavesFirst(), 0
        with self._castore.batch() as batch:
            for message in messages:
                size += len(message)
                if size > MAX_CLOSURE:
                    raise RemoteStoreError(
                        f"the directories of a closure have at most {MAX_CLOSURE:,} bytes", code="RESOURCE_EXHAUSTED"
                    )
                batch.put_directory(order.check(message))
            root = order.end()
            batch.commit(root)
        return answering(root.digest)
