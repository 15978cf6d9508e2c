"""The DirectoryService of a server: closures come leaves first and are checked as a whole, and go root first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tvixbuild_nb.castore import Castore, Digest, DirectoryNode, decode_directory, encode_directory
from tvixbuild_nb.castore.remote.messages import answering
from tvixbuild_nb.castore.remote.order import LeavesFirst
from tvixbuild_nb.errors import NotFound
from tvixbuild_nb.proto import castore_pb2
from tvixbuild_nb.serve.blobs import digest_in
from tvixbuild_nb.serve.budget import Budget

if TYPE_CHECKING:
    import grpc

# A closure is held in memory, as it came, until its root has come: bytes of one, and of all that come at once.
MAX_CLOSURE = 256 << 20
MAX_CLOSURES = 512 << 20


class DirectoryHandlers:
    """Answers about the directories of ``castore``; at most ``most`` bytes of closures are on their way at once."""

    def __init__(self, castore: Castore, most: int = MAX_CLOSURES) -> None:
        self._castore = castore
        self._budget = Budget(most, "directories that come")

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
        order, came = LeavesFirst(), list[bytes]()
        with self._budget.share(MAX_CLOSURE) as share:
            for message in messages:
                share.take(len(message))
                order.check(message)
                came.append(message)
            return answering(self._store(order.end(), came))

    def _store(self, root: DirectoryNode, came: list[bytes]) -> Digest:
        # Not before all of it is here: gc waits for a batch that is open, and who sends may take long.
        with self._castore.batch() as batch:
            for message in came:
                batch.put_directory(decode_directory(message))
            batch.commit(root)
        return root.digest
