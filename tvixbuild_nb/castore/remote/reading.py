"""Reading a blob over gRPC: it comes from the start, is checked on the way, and what came is kept to be read again."""

from __future__ import annotations

import io
import os
import tempfile
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from blake3 import blake3

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.reading import BUFFER
from tvixbuild_nb.castore.remote.connection import Answers
from tvixbuild_nb.castore.remote.faults import error_of, is_code
from tvixbuild_nb.castore.remote.messages import chunk_data
from tvixbuild_nb.errors import DigestMismatch

if TYPE_CHECKING:
    import grpc
    from _typeshed import WriteableBuffer

_IN_MEMORY = 4 << 20


class RemoteFile(io.RawIOBase):
    """A seekable stream over the blob ``digest``; its last bytes are given out when all of them proved to be it.

    ``read`` begins a Read of it. What came stays in memory, or in a file without a name: the protocol has no way to ask
    for a part. :class:`DigestMismatch`, or the error that ended the call, however often it is read.
    """

    def __init__(self, read: Callable[[Digest], Answers], digest: Digest) -> None:
        self._digest = digest
        self._call = read(digest)
        self._hasher = blake3()
        self._kept = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 (closed with this stream)
        self._ready = 0
        self._pending: memoryview | None = None
        self._over = False
        self._position = 0

    def begin(self) -> bool:
        """Whether the blob is there; waits for its first bytes."""
        import grpc

        try:
            self._pending = self._next()
        except grpc.RpcError as error:
            if is_code(error, "NOT_FOUND"):
                return False
            raise self._failed(error) from None
        return True

    def _next(self) -> memoryview | None:
        """The next bytes, None at the end."""
        for message in self._call:
            if len(data := chunk_data(message)):
                return data
        return None

    def _fetch(self, end: int) -> None:
        """Have the bytes before ``end`` ready, as far as the blob goes."""
        import grpc

        while not self._over and self._ready < end:
            data = self._pending
            if data is not None:
                self._hasher.update(data)
            try:
                self._pending = self._next()
            except grpc.RpcError as error:
                raise self._failed(error) from None
            if self._pending is None:
                if self._hasher.digest() != self._digest:
                    raise DigestMismatch(
                        f"the bytes that came have digest {self._hasher.hexdigest()}", path=str(self._digest)
                    )
                self._over = True
            if data is not None:
                self._kept.seek(self._ready)
                self._kept.write(data)
                self._ready += len(data)

    def _failed(self, error: grpc.RpcError) -> Exception:
        return error_of(error, str(self._digest))

    def buffered(self) -> BinaryIO:
        """This stream behind a buffer, as :func:`open` returns them."""
        return io.BufferedReader(self, BUFFER)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            self._fetch(1 << 63)
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._ready}[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        self._fetch(self._position + 1)
        data = b""
        if self._position < self._ready:
            self._kept.seek(self._position)
            data = self._kept.read(min(len(view), self._ready - self._position))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._call.cancel()
        self._kept.close()
        super().close()


class RemoteReader:
    """A BlobReader over a RemoteFile, which it fetches whole and then owns."""

    __slots__ = ("_file", "_lock", "size")

    def __init__(self, file: RemoteFile) -> None:
        self._file = file
        self._lock = threading.Lock()
        self.size = file.seek(0, os.SEEK_END)

    def pread(self, offset: int, size: int) -> bytes:
        with self._lock:
            self._file.seek(offset)
            return self._file.read(min(size, max(0, self.size - offset))) or b""

    def close(self) -> None:
        self._file.close()
