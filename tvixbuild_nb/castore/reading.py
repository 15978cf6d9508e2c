"""Reading blobs from files: positional, and as a stream that checks the digest on the way."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from blake3 import blake3

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.holes import Holes, zeros
from tvixbuild_nb.errors import DigestMismatch

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from tvixbuild_nb.castore.services import BlobReader

BUFFER = 256 * 1024
DAMAGED = "read that blob with Castore.open, which forgets the damaged copy, and store the same contents again"
REPAIR = "the damaged copy is forgotten: store the same contents again to have the blob back"


class FileReader:
    """A BlobReader over an open file that holds the blob and nothing else; owns the descriptor ``fd``."""

    __slots__ = ("fd", "size")

    def __init__(self, fd: int, size: int) -> None:
        self.fd = fd
        self.size = size

    def pread(self, offset: int, size: int) -> bytes:
        return os.pread(self.fd, size, offset)

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()


class CheckedReader:
    """A BlobReader that checks the digest as far as the reads allow, and then raises :class:`DigestMismatch`.

    Read from the beginning without gaps, a blob shows its damage before the last bytes are given out, one that
    fits into the first read at all; a blob cut short shows it at once. What is read in another order is not
    checked: that would mean reading all of it first. Not for several threads. Owns ``reader``.
    """

    __slots__ = ("_damage", "_digest", "_hashed", "_hasher", "_reader", "size")

    def __init__(self, reader: BlobReader, digest: Digest) -> None:
        self._reader = reader
        self._digest = digest
        self._hasher = blake3()
        self._hashed = 0
        self._damage: str | None = None
        self.size = reader.size

    def pread(self, offset: int, size: int) -> bytes:
        data = self._reader.pread(offset, size)
        if len(data) < min(size, self.size - offset):
            self._damage = "the bytes in the store are fewer than they should be"
        end = offset + len(data)
        if offset <= self._hashed < end:
            self._hasher.update(memoryview(data)[self._hashed - offset :])
            self._hashed = end
            if end == self.size and self._hasher.digest() != self._digest:
                self._damage = f"the bytes in the store have digest {self._hasher.hexdigest()}"
        if self._damage is not None:
            # From now on for every read: the kernel asks again for what its read-ahead did not get.
            raise DigestMismatch(self._damage, path=self._digest.hex(), hint=DAMAGED)
        return data

    def close(self) -> None:
        self._reader.close()


class VerifyingFile(io.RawIOBase):
    """A seekable stream over ``reader``; read without gaps, it raises :class:`DigestMismatch` before the last bytes.

    What is skipped by seeking forward cannot be checked, and then nothing is. ``on_mismatch`` is called before the
    error is raised. Closing it closes ``reader``.
    """

    def __init__(self, reader: FileReader, digest: Digest, on_mismatch: Callable[[], None] = lambda: None) -> None:
        self._reader = reader
        self._digest = digest
        self._on_mismatch = on_mismatch
        self._hasher = blake3()
        self._holes = Holes(reader.fd)
        self._hashed = 0
        self._position = 0

    def buffered(self) -> BinaryIO:
        """This stream behind a buffer, as :func:`open` returns them."""
        return io.BufferedReader(self, BUFFER)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._reader.fd

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._reader.size}[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        if self._holes.length_at(self._position) >= len(view) > 0:
            view[:] = zeros(len(view))
            count = len(view)
        else:
            count = os.preadv(self._reader.fd, [view], self._position)
        self._check(view[:count])
        self._position += count
        return count

    def readall(self) -> bytes:
        parts: list[bytes] = []
        while part := self.read(BUFFER):
            parts.append(part)
        return b"".join(parts)

    def _check(self, data: memoryview) -> None:
        begin, end = self._position, self._position + len(data)
        if begin <= self._hashed < end:
            self._hasher.update(data[self._hashed - begin :])
            self._hashed = end
        elif data or self._hashed != begin:
            return
        wrong_length = not data and self._hashed < self._reader.size
        if wrong_length or (self._hashed >= self._reader.size and self._hasher.digest() != self._digest):
            self._on_mismatch()
            raise DigestMismatch(
                f"the bytes in the store have digest {self._hasher.hexdigest()}", path=str(self._digest), hint=REPAIR
            )

    def close(self) -> None:
        self._reader.close()
        super().close()


class ReaderStream(io.RawIOBase):
    """A seekable stream over a BlobReader, which it owns."""

    def __init__(self, reader: BlobReader) -> None:
        self._reader = reader
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._reader.size}[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._reader.pread(self._position, len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._reader.close()
        super().close()
