"""RemoteBlobs: a BlobService over gRPC."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, BinaryIO

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.remote.connection import PATIENCE, Answers, Connection
from tvixbuild_nb.castore.remote.faults import missing
from tvixbuild_nb.castore.remote.many import MANY, ManyBlobs
from tvixbuild_nb.castore.remote.messages import answered, asking_for, chunk_message
from tvixbuild_nb.castore.remote.reading import RemoteFile, RemoteReader
from tvixbuild_nb.castore.remote.window import in_window
from tvixbuild_nb.castore.remote.writing import RemoteWriter
from tvixbuild_nb.castore.services import BlobReader, BlobWriter
from tvixbuild_nb.errors import DigestMismatch
from tvixbuild_nb.proto import castore_pb2

if TYPE_CHECKING:
    import grpc


class RemoteBlobs:
    """The BlobService at the other end of ``connection``; what comes from there is checked against its digest."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._many = ManyBlobs(connection)

    @property
    def _has_many(self) -> bool:
        return MANY in (self._connection.services() or ())

    def has(self, digest: Digest) -> bool:
        return self._stat(digest) is not None

    def missing(self, digests: Iterable[Digest]) -> set[Digest]:
        """See :class:`BlobService`; Tvix's protocol has no question about several, so many are asked at once."""
        if self._has_many:
            return self._many.missing(digests)
        absent: set[Digest] = set()
        stat = self._connection.call("unary_unary", self._method("Stat"))
        wanted = dict.fromkeys(digests)
        for digest, call in in_window(wanted, lambda digest: stat.future(asking_for(digest), timeout=PATIENCE)):
            if self._refused(call):
                absent.add(digest)
        return absent

    def size(self, digest: Digest) -> int | None:
        """See :class:`BlobService`; a server that does not tell has it read to the end."""
        answer = self._stat(digest, flag=True)
        if answer is None:
            return None
        chunks = castore_pb2.StatBlobResponse.FromString(answer).chunks
        if chunks:
            return sum(chunk.size for chunk in chunks)
        with RemoteFile(self._read, digest) as file:
            return file.seek(0, io.SEEK_END)

    def open_read(self, digest: Digest) -> BinaryIO | None:
        file = RemoteFile(self._read, digest)
        if not file.begin():
            file.close()
            return None
        return file.buffered()

    def reader(self, digest: Digest) -> BlobReader | None:
        """See :class:`BlobService`; the blob is fetched whole, since the protocol reads from the start only."""
        file = RemoteFile(self._read, digest)
        try:
            if not file.begin():
                file.close()
                return None
            return RemoteReader(file)
        except BaseException:
            file.close()
            raise

    def open_write(self) -> BlobWriter:
        return RemoteWriter(self._connection, self._method("Put"))

    def put_small(self, blobs: Sequence[tuple[Digest, bytes]], done: Callable[[int], None] = lambda size: None) -> None:
        """Store blobs of at most a message's bytes, many at once; ``done`` is told the bytes of each.

        :class:`DigestMismatch` when the server says it is another one.
        """
        if self._has_many:
            self._many.put(blobs, done)
            return
        # On the wire a stream of one message is a single message, and costs no thread.
        put = self._connection.call("unary_unary", self._method("Put"))

        def begin(blob: tuple[Digest, bytes]) -> grpc.Future[bytes]:
            future: grpc.Future[bytes] = put.future(chunk_message(blob[1]), timeout=PATIENCE)
            return future

        for (digest, data), call in in_window(blobs, begin):
            stored = answered(self._connection.checked(call.result))
            if stored != digest:
                raise DigestMismatch(f"{self._address} calls these bytes {stored}", path=str(digest))
            done(len(data))

    @property
    def pool(self) -> ThreadPoolExecutor:
        """Threads for what goes on beside its caller."""
        return self._connection.pool

    @property
    def _address(self) -> str:
        return self._connection.address.text

    def _method(self, name: str) -> str:
        return self._connection.castore_method("BlobService", name)

    def _stat(self, digest: Digest, *, flag: bool = False) -> bytes | None:
        call = self._connection.call("unary_unary", self._method("Stat"))
        future = call.future(asking_for(digest, flag=flag), timeout=PATIENCE)
        if self._refused(future):
            return None
        answer: bytes = future.result()
        return answer

    def _refused(self, call: grpc.Future[bytes]) -> bool:
        """Whether a finished call says that it is not there; raises for every other failure."""
        error = call.exception()
        if error is None:
            return False
        if not isinstance(error, self._connection.rpc_error):
            raise error
        if (fault := missing(error, self._address)) is not None:
            raise fault from None
        return True

    def _read(self, digest: Digest) -> Answers:
        call: Answers = self._connection.call("unary_stream", self._method("Read"))(asking_for(digest))
        return call
