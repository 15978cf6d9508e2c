"""Writing a blob over gRPC: small ones in one message, large ones as a stream beside whoever writes."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import TYPE_CHECKING

from blake3 import blake3

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.remote.connection import CHUNK
from tvixbuild_nb.castore.remote.line import Line
from tvixbuild_nb.castore.remote.messages import answered, chunk_message, pieces
from tvixbuild_nb.castore.writers import ClosingWriter
from tvixbuild_nb.errors import DigestMismatch

if TYPE_CHECKING:
    import grpc

# Chunks between the one who writes and the line.
_WAITING = 4
_LOOK = 0.2


class RemoteWriter(ClosingWriter):
    """A BlobWriter whose bytes go to the Put at ``method``; an aborted one is cancelled: the server keeps nothing."""

    def __init__(self, line: Line, method: str) -> None:
        self._line = line
        self._method = method
        self._hasher = blake3()
        self._buffer: bytearray | None = bytearray()
        self._queue: queue.Queue[bytes | None] | None = None
        self._call: grpc.Future[bytes] | None = None
        self._digest: Digest | None = None

    def write(self, data: bytes | memoryview) -> int:
        if self._buffer is None:
            raise ValueError("write to a closed blob writer")
        self._hasher.update(data)
        if len(self._buffer) + len(data) <= CHUNK:
            self._buffer += data
            return len(data)
        whole = memoryview(bytes(self._buffer) + bytes(data)) if self._buffer else memoryview(data)
        self._buffer.clear()
        rest = len(whole) % CHUNK
        for piece in pieces(whole[: len(whole) - rest], CHUNK):
            self._send(chunk_message(piece))
        self._buffer += whole[len(whole) - rest :]
        return len(data)

    def _send(self, message: bytes | None) -> None:
        """Hand a message to the stream; what ended the call is raised here."""
        if self._queue is None:
            self._queue = queue.Queue(_WAITING)
            self._call = self._line.call("stream_unary", self._method).future(_until_none(self._queue))
        assert self._call is not None
        while True:
            if self._call.done():
                self._line.checked(self._call.result)
            try:
                self._queue.put(message, timeout=_LOOK)
                return
            except queue.Full:
                continue

    def close(self) -> Digest:
        if self._digest is not None:
            return self._digest
        if self._buffer is None:
            raise ValueError("close of an aborted blob writer")
        try:
            self._digest = self._finish(bytes(self._buffer))
        except BaseException:
            self.abort()
            raise
        self._buffer = None
        return self._digest

    def _finish(self, rest: bytes) -> Digest:
        if self._queue is None:
            put = self._line.call("unary_unary", self._method)
            answer = self._line.checked(lambda: put(chunk_message(rest)))
        else:
            if rest:
                self._send(chunk_message(rest))
            self._send(None)
            assert self._call is not None
            answer = self._line.checked(self._call.result)
        stored, digest = answered(answer), Digest(self._hasher.digest())
        if stored != digest:
            raise DigestMismatch(f"{self._line.address.text} calls these bytes {stored}", path=str(digest))
        return digest

    def abort(self) -> None:
        if self._digest is not None:
            return
        self._buffer = None
        if self._call is not None:
            self._call.cancel()
            assert self._queue is not None
            _drain(self._queue)
            # Whoever waits for the next message on gRPC's side is let go.
            self._queue.put(None)


def _until_none(waiting: queue.Queue[bytes | None]) -> Iterator[bytes]:
    while (message := waiting.get()) is not None:
        yield message


def _drain(waiting: queue.Queue[bytes | None]) -> None:
    try:
        while True:
            waiting.get_nowait()
    except queue.Empty:
        return
