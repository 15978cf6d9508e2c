"""Incoming: the bytes of one blob as they come from the other side, checked, and begun again when they were cut off."""

from __future__ import annotations

from collections.abc import Callable

from blake3 import blake3

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.remote.connection import Answers
from tvixbuild_nb.castore.remote.faults import is_code, store_error
from tvixbuild_nb.castore.remote.messages import chunk_data
from tvixbuild_nb.errors import DigestMismatch

# How a call ends whose caller took nothing for long, or whose server was started anew meanwhile.
_CUT_OFF = ("CANCELLED", "ABORTED", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED")


class Incoming:
    """The blob ``digest`` from its first byte to its last; ``read`` begins a Read of it.

    Nothing is kept. Whoever takes slowly may be cut off by the server: then it is read anew up to where it stood, and
    what comes must be what came before.
    """

    def __init__(self, read: Callable[[Digest], Answers], digest: Digest) -> None:
        self._read = read
        self._digest = digest
        self._call = read(digest)
        self._hasher = blake3()
        self._came = 0
        self._came_at_begin = 0
        self._pending: memoryview | None = None
        self._begun = self._over = False

    def begin(self) -> bool:
        """Whether the blob is there; waits for its first bytes."""
        import grpc

        try:
            self._pending, self._begun = self._next(), True
        except grpc.RpcError as error:
            if is_code(error, "NOT_FOUND"):
                return False
            raise store_error(error, str(self._digest)) from None
        return True

    def take(self) -> memoryview | None:
        """The next bytes, None after the last; those are given out when all of them proved to be the blob.

        :class:`DigestMismatch`, or a StoreError for what ended the call.
        """
        if self._over:
            return None
        if not self._begun:
            self._pending, self._begun = self._coming(), True
        data, self._pending = self._pending, None
        if data is not None:
            self._hasher.update(data)
            self._came += len(data)
        self._pending = self._coming()
        if self._pending is None:
            if self._hasher.digest() != self._digest:
                raise DigestMismatch(
                    f"the bytes that came have digest {self._hasher.hexdigest()}", path=str(self._digest)
                )
            self._over = True
        return data

    def _next(self) -> memoryview | None:
        for message in self._call:
            if len(data := chunk_data(message)):
                return data
        return None

    def _coming(self) -> memoryview | None:
        import grpc

        try:
            return self._next()
        except grpc.RpcError as error:
            # Once for each time that anything came: what does not come at all would be begun for ever.
            if self._came == self._came_at_begin or not any(is_code(error, code) for code in _CUT_OFF):
                raise store_error(error, str(self._digest)) from None
        try:
            return self._begin_again()
        except grpc.RpcError as error:
            raise store_error(error, str(self._digest)) from None

    def _begin_again(self) -> memoryview | None:
        """Read anew up to where it stood; the bytes after that."""
        self._call, self._came_at_begin = self._read(self._digest), self._came
        hasher, left = blake3(), self._came
        rest: memoryview | None = None
        while left and (data := self._next()) is not None:
            hasher.update(data[:left])
            rest = data[left:] or None
            left -= min(left, len(data))
        if hasher.digest() != self._hasher.digest():
            raise DigestMismatch("begun again, other bytes came than before", path=str(self._digest))
        return self._next() if rest is None else rest

    def anew(self) -> Incoming:
        """The same blob from its first byte; this one is closed."""
        self.close()
        return Incoming(self._read, self._digest)

    def close(self) -> None:
        self._call.cancel()
