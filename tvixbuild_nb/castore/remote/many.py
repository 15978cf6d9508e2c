"""Many small blobs in one call, where the other side has our own service for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from google.protobuf.message import DecodeError

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.remote.connection import CHUNK
from tvixbuild_nb.castore.remote.faults import store_error
from tvixbuild_nb.castore.remote.line import Line
from tvixbuild_nb.castore.remote.window import in_window
from tvixbuild_nb.errors import DigestMismatch, InvalidNode
from tvixbuild_nb.proto import manyblobs_pb2

MANY = "tvixbuild_nb.v1.ManyBlobsService"
_DIGESTS = 2000
_BLOBS = 500
# Each call is as much work as a thousand others.
_AT_ONCE = 3


class ManyBlobs:
    """The ManyBlobsService at the other end of ``line``."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def missing(self, digests: Iterable[Digest]) -> set[Digest]:
        """Those that are not there."""
        call = self._line.call("unary_unary", f"/{MANY}/Missing")
        wanted = list(dict.fromkeys(digests))
        groups = [wanted[start : start + _DIGESTS] for start in range(0, len(wanted), _DIGESTS)]
        absent: set[Digest] = set()
        for group, answer in in_window(
            groups,
            lambda group: call.future(
                manyblobs_pb2.MissingRequest(digests=group).SerializeToString(), timeout=self._line.patience
            ),
            _AT_ONCE,
        ):
            told = _read(manyblobs_pb2.MissingResponse, self._line.checked(answer.result))
            # What was not asked for is nobody's business.
            absent.update(set(told) & set(group))
        return absent

    def get(self, digests: Sequence[Digest]) -> dict[Digest, bytes]:
        """The bytes of those that are there and small enough."""
        call = self._line.call("unary_stream", f"/{MANY}/Get")
        found: dict[Digest, bytes] = {}
        for start in range(0, len(digests), _BLOBS):
            group = digests[start : start + _BLOBS]
            wanted = set(group)
            answers = call(manyblobs_pb2.GetManyRequest(digests=group).SerializeToString())
            try:
                for data in answers:
                    for blob in _blobs(data):
                        # What it is called is what it is: nothing else has to be believed.
                        if (digest := Digest.of(blob)) not in wanted:
                            raise DigestMismatch("bytes came that nobody asked for", path=str(digest))
                        found[digest] = blob
            except self._line.rpc_error as error:
                raise store_error(error, self._line.address.text) from None
            finally:
                answers.cancel()
        return found

    def put(self, blobs: Sequence[tuple[Digest, bytes]], done: Callable[[int], None]) -> None:
        """Store them; ``done`` is told the bytes of each."""
        call = self._line.call("unary_unary", f"/{MANY}/Put")
        for group, answer in in_window(
            _groups(blobs),
            # Without a deadline: how long it takes is the line's business, which may be slow and shared with others.
            lambda group: call.future(
                manyblobs_pb2.PutManyRequest(blobs=[data for _, data in group]).SerializeToString()
            ),
            _AT_ONCE,
        ):
            told = _read(manyblobs_pb2.PutManyResponse, self._line.checked(answer.result))
            if told != [digest for digest, _ in group]:
                raise DigestMismatch("the server calls these blobs otherwise", path=self._line.address.text)
            for _, data in group:
                done(len(data))


def _groups(blobs: Sequence[tuple[Digest, bytes]]) -> Iterator[list[tuple[Digest, bytes]]]:
    """``blobs`` in messages of bounded size."""
    group: list[tuple[Digest, bytes]] = []
    size = 0
    for digest, data in blobs:
        if group and (size + len(data) > CHUNK or len(group) >= _BLOBS):
            yield group
            group, size = [], 0
        group.append((digest, data))
        size += len(data)
    if group:
        yield group


def _blobs(data: bytes) -> Sequence[bytes]:
    try:
        return manyblobs_pb2.GetManyResponse.FromString(data).blobs
    except DecodeError as error:
        raise InvalidNode(f"not blobs in a message: {error}", path="blobs") from None


def _read(kind: type[manyblobs_pb2.MissingResponse] | type[manyblobs_pb2.PutManyResponse], data: bytes) -> list[Digest]:
    try:
        return [Digest(digest) for digest in kind.FromString(data).digests]
    except DecodeError as error:
        raise InvalidNode(f"not digests in a message: {error}", path="digests") from None
