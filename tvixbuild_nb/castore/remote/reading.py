"""Reading a blob over gRPC: front to back as it comes, and in any order when all of it has come."""

from __future__ import annotations

import io
import os
import tempfile
import threading
from typing import TYPE_CHECKING, BinaryIO

from tvixbuild_nb.castore.reading import BUFFER
from tvixbuild_nb.castore.remote.incoming import Incoming
from tvixbuild_nb.errors import StoreError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_IN_MEMORY = 4 << 20


class RemoteFile(io.RawIOBase):
    """A seekable stream over the blob that is ``incoming``; its last bytes are given out when all proved to be it.

    The protocol has no way to ask for a part. What is read forwards is not kept, and back at the start it is read anew;
    whoever asks where it ends, or goes back into its middle, will do so again, and has it fetched as a whole.
    :class:`DigestMismatch`, or a StoreError for what ended the call.
    """

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self._window = memoryview(b"")
        self._start = 0
        self._position = 0
        self._whole: RemoteReader | None = None

    def begin(self) -> bool:
        """Whether the blob is there; waits for its first bytes."""
        return self._incoming.begin()

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
            base = self._as_a_whole().size
        else:
            base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        if self._position < self._start:
            if self._position:
                self._as_a_whole()
            elif self._whole is None:
                self._begin_anew()
        if self._whole is not None:
            data = memoryview(self._whole.pread(self._position, len(view)))
        else:
            data = self._coming()[: len(view)]
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _coming(self) -> memoryview:
        """Some bytes from the position on, none at the end; what lies before them is let go."""
        while self._position >= self._start + len(self._window):
            data = self._incoming.take()
            if data is None:
                return memoryview(b"")
            self._start, self._window = self._start + len(self._window), data
        return self._window[self._position - self._start :]

    def _begin_anew(self) -> None:
        self._incoming = self._incoming.anew()
        self._start, self._window = 0, memoryview(b"")

    def _as_a_whole(self) -> RemoteReader:
        if self._whole is None:
            if self._start or self._window:
                self._begin_anew()
            self._whole = RemoteReader(self._incoming)
        return self._whole

    def close(self) -> None:
        self._incoming.close()
        if self._whole is not None:
            self._whole.close()
        super().close()


class RemoteReader:
    """A BlobReader over ``incoming``, which it takes whole: into memory, or a file without a name.

    :class:`StoreError` where there is no room for it.
    """

    __slots__ = ("_kept", "_lock", "size")

    def __init__(self, incoming: Incoming) -> None:
        self._lock = threading.Lock()
        self._kept = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 (closed with this reader)
        self.size = 0
        try:
            while (data := incoming.take()) is not None:
                self._keep(data)
        except BaseException:
            self._kept.close()
            raise
        finally:
            incoming.close()

    def _keep(self, data: memoryview) -> None:
        try:
            self._kept.write(data)
        except OSError as error:
            raise StoreError(
                f"a blob that is read out of order is kept there: {error.strerror}", path=tempfile.gettempdir(),
                hint="TMPDIR names a place with more room; what is read from front to back needs none",
            ) from error  # fmt: skip
        self.size += len(data)

    def pread(self, offset: int, size: int) -> bytes:
        with self._lock:
            self._kept.seek(offset)
            return self._kept.read(min(size, max(0, self.size - offset)))

    def close(self) -> None:
        self._kept.close()
