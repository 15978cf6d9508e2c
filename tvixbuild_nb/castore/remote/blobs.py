"""RemoteBlobs: a BlobService over gRPC."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, BinaryIO

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.remote.connection import Answers
from tvixbuild_nb.castore.remote.faults import missing
from tvixbuild_nb.castore.remote.incoming import Incoming
from tvixbuild_nb.castore.remote.line import Line
from tvixbuild_nb.castore.remote.many import MANY, ManyBlobs
from tvixbuild_nb.castore.remote.messages import answered, asking_for, chunk_data, chunk_message
from tvixbuild_nb.castore.remote.reading import RemoteFile, RemoteReader
from tvixbuild_nb.castore.remote.window import begun_ahead, in_window
from tvixbuild_nb.castore.remote.writing import RemoteWriter
from tvixbuild_nb.castore.services import SMALL, BlobReader, BlobWriter
from tvixbuild_nb.errors import DigestMismatch
from tvixbuild_nb.proto import castore_pb2

if TYPE_CHECKING:
    import grpc


class RemoteBlobs:
    """The BlobService at the other end of ``line``; what comes from there is checked against its digest."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._many = ManyBlobs(line)

    @property
    def _has_many(self) -> bool:
        return MANY in (self._line.services() or ())

    def has(self, digest: Digest) -> bool:
        return self._stat(digest) is not None

    def missing(self, digests: Iterable[Digest]) -> set[Digest]:
        """See :class:`BlobService`; Tvix's protocol has no question about several, so many are asked at once."""
        if self._has_many:
            return self._many.missing(digests)
        absent: set[Digest] = set()
        stat, patience = self._line.call("unary_unary", self._method("Stat")), self._line.patience
        wanted = dict.fromkeys(digests)
        for digest, call in in_window(wanted, lambda digest: stat.future(asking_for(digest), timeout=patience)):
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
        incoming, size = Incoming(self._read, digest), 0
        try:
            while (data := incoming.take()) is not None:
                size += len(data)
        finally:
            incoming.close()
        return size

    def open_read(self, digest: Digest) -> BinaryIO | None:
        file = RemoteFile(Incoming(self._read, digest))
        try:
            if file.begin():
                return file.buffered()
        except BaseException:
            file.close()
            raise
        file.close()
        return None

    def get_small(self, digests: Sequence[Digest]) -> dict[Digest, bytes]:
        """See :class:`ManySmallBlobs`; Tvix's protocol has no such question, so many are read at once."""
        if self._has_many:
            return self._many.get(digests)
        found: dict[Digest, bytes] = {}
        for digest, call in begun_ahead(dict.fromkeys(digests), self._read):
            try:
                data = self._short(call)
            finally:
                call.cancel()
            if data is None:
                continue
            if Digest.of(data) != digest:
                raise DigestMismatch("the bytes that came are not those", path=str(digest))
            found[digest] = data
        return found

    def _short(self, call: Answers) -> bytes | None:
        """All that comes; None when it is much, or not there."""
        data = bytearray()
        try:
            for message in call:
                data += chunk_data(message)
                if len(data) > SMALL:
                    return None
        except self._line.rpc_error as error:
            if (fault := missing(error, self._address)) is not None:
                raise fault from None
            return None
        return bytes(data)

    def reader(self, digest: Digest) -> BlobReader | None:
        """See :class:`BlobService`; the blob is fetched whole, since the protocol reads from the start only."""
        incoming = Incoming(self._read, digest)
        try:
            return RemoteReader(incoming) if incoming.begin() else None
        finally:
            incoming.close()

    def open_write(self) -> BlobWriter:
        return RemoteWriter(self._line, self._method("Put"))

    def put_small(self, blobs: Sequence[tuple[Digest, bytes]], done: Callable[[int], None] = lambda size: None) -> None:
        """Store blobs of at most a message's bytes, many at once; ``done`` is told the bytes of each.

        :class:`DigestMismatch` when the server says it is another one.
        """
        if self._has_many:
            self._many.put(blobs, done)
            return
        # On the wire a stream of one message is a single message, and costs no thread.
        put = self._line.call("unary_unary", self._method("Put"))

        def begin(blob: tuple[Digest, bytes]) -> grpc.Future[bytes]:
            future: grpc.Future[bytes] = put.future(chunk_message(blob[1]))
            return future

        for (digest, data), call in in_window(blobs, begin):
            stored = answered(self._line.checked(call.result))
            if stored != digest:
                raise DigestMismatch(f"{self._address} calls these bytes {stored}", path=str(digest))
            done(len(data))

    @property
    def pool(self) -> ThreadPoolExecutor:
        """Threads for what goes on beside its caller."""
        return self._line.pool

    @property
    def _address(self) -> str:
        return self._line.address.text

    def _method(self, name: str) -> str:
        return self._line.castore_method("BlobService", name)

    def _stat(self, digest: Digest, *, flag: bool = False) -> bytes | None:
        call = self._line.call("unary_unary", self._method("Stat"))
        future = call.future(asking_for(digest, flag=flag), timeout=self._line.patience)
        if self._refused(future):
            return None
        answer: bytes = future.result()
        return answer

    def _refused(self, call: grpc.Future[bytes]) -> bool:
        """Whether a finished call says that it is not there; raises for every other failure."""
        error = call.exception()
        if error is None:
            return False
        if not isinstance(error, self._line.rpc_error):
            raise error
        if (fault := missing(error, self._address)) is not None:
            raise fault from None
        return True

    def _read(self, digest: Digest) -> Answers:
        call: Answers = self._line.call("unary_stream", self._method("Read"))(asking_for(digest))
        return call
