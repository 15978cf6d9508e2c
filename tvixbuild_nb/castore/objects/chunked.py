"""Large blobs: written chunk by chunk as the bytes come, read by position; never whole in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from concurrent.futures import Future

from blake3 import blake3

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.objects.bucket import Bucket
from tvixbuild_nb.castore.objects.layout import BLOBS, CHUNK, CHUNKS, Chunks, key, must_be_chunked
from tvixbuild_nb.castore.reading import REPAIR
from tvixbuild_nb.castore.writers import ClosingWriter
from tvixbuild_nb.errors import DigestMismatch

# Chunks of one blob on their way at once: this much memory for each blob, and enough to keep a line busy.
_UNDER_WAY = 4

# Chunks that a reader keeps, and asks for before they are wanted, when it is read from the beginning on.
_KEPT = 4
_AHEAD = 2


class ObjectWriter(ClosingWriter):
    """A BlobWriter into object storage. Whoever dies before close leaves chunks, and nothing under the digest."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._hasher = blake3()
        self._size = 0
        self._buffer: bytearray | None = bytearray()
        self._under_way: deque[Future[Digest]] = deque()
        self._chunks: list[Digest] = []
        self._digest: Digest | None = None

    def write(self, data: bytes | memoryview) -> int:
        if self._buffer is None:
            raise ValueError("write to a closed blob writer")
        self._hasher.update(data)
        view = memoryview(data).cast("B")
        # A chunk is sent when more comes: a blob of one chunk or less is stored as it is.
        while view:
            if len(self._buffer) == CHUNK:
                self._send()
            part = view[: CHUNK - len(self._buffer)]
            self._buffer += part
            self._size += len(part)
            view = view[len(part) :]
        return len(data)

    def _send(self) -> None:
        assert self._buffer is not None
        while len(self._under_way) >= _UNDER_WAY:
            self._chunks.append(self._under_way.popleft().result())
        self._under_way.append(self._bucket.submit(self._put_chunk, bytes(self._buffer)))
        self._buffer.clear()

    def _put_chunk(self, data: bytes) -> Digest:
        digest = Digest.of(data)
        place = key(CHUNKS, digest)
        # Asking is little beside sending, and what an interrupted attempt has sent is there.
        if self._bucket.size(place) != len(data):
            self._bucket.put(place, data)
        return digest

    def close(self) -> Digest:
        if self._digest is not None:
            return self._digest
        if self._buffer is None:
            raise ValueError("close of an aborted blob writer")
        digest = Digest(self._hasher.digest())
        place = key(BLOBS, digest)
        try:
            if self._chunks or self._under_way or must_be_chunked(self._buffer):
                self._send()
                while self._under_way:
                    self._chunks.append(self._under_way.popleft().result())
                data = Chunks(digest, self._size, tuple(self._chunks)).encode()
            else:
                data = bytes(self._buffer)
            if self._bucket.size(place) is None:
                self._bucket.put(place, data)
        except BaseException:
            self.abort()
            raise
        self._buffer = None
        self._digest = digest
        return digest

    def abort(self) -> None:
        """Forget the blob. Chunks that were sent stay, under their own digests, where another attempt finds them."""
        if self._digest is None:
            self._buffer = None
            while self._under_way:
                self._under_way.pop().cancel()


class ChunkedReader:
    """A BlobReader over a list of chunks, each checked against its own digest (:class:`DigestMismatch`).

    The next chunks are fetched beforehand while it is read from one to the next.
    """

    def __init__(self, bucket: Bucket, chunks: Chunks) -> None:
        self._bucket = bucket
        self._chunks = chunks
        self._kept: OrderedDict[int, Future[bytes]] = OrderedDict()
        self._mutex = threading.Lock()
        self.size = chunks.size

    def pread(self, offset: int, size: int) -> bytes:
        end = min(offset + size, self.size)
        parts: list[bytes] = []
        while offset < end:
            index, start = divmod(offset, CHUNK)
            part = self._chunk(index)[start : start + end - offset]
            parts.append(part)
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _chunk(self, index: int) -> bytes:
        with self._mutex:
            following = index - 1 in self._kept
            wanted = self._fetch(index)
            if following:
                for ahead in range(index + 1, min(index + 1 + _AHEAD, len(self._chunks.digests))):
                    self._fetch(ahead)
            self._kept.move_to_end(index)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)[1].cancel()
        try:
            return wanted.result()
        except BaseException:
            with self._mutex:
                self._kept.pop(index, None)
            raise

    def _fetch(self, index: int) -> Future[bytes]:
        future = self._kept.get(index)
        if future is None:
            future = self._kept[index] = self._bucket.submit(self._get_chunk, index)
        return future

    def _get_chunk(self, index: int) -> bytes:
        digest = self._chunks.digests[index]
        place = key(CHUNKS, digest)
        data = self._bucket.get(place)
        size = min(CHUNK, self.size - index * CHUNK)
        if data is not None and len(data) == size and Digest.of(data) == digest:
            return data
        self._bucket.distrust(place)
        self._bucket.distrust(key(BLOBS, self._chunks.digest))
        what = "is missing" if data is None else "is not what its digest says"
        raise DigestMismatch(
            f"chunk {index} of {len(self._chunks.digests)} {what} ({digest})",
            path=str(self._chunks.digest),
            hint=REPAIR,
        )

    def close(self) -> None:
        with self._mutex:
            for future in self._kept.values():
                future.cancel()
            self._kept.clear()
