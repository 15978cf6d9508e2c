"""BLAKE3 digests: 32 bytes that know how to show themselves."""

from __future__ import annotations

from typing import Self

from blake3 import blake3

from tvixbuild_nb.errors import InvalidNode

DIGEST_SIZE = 32


class Digest(bytes):
    """A BLAKE3 digest of exactly 32 bytes; an instance is a proof of that length.

    It is ``bytes`` in every respect (hash, order, equality), prints as lower-case hex, and is
    refused with :class:`InvalidNode` when the length is wrong.
    """

    __slots__ = ()

    def __new__(cls, value: bytes) -> Self:
        if len(value) != DIGEST_SIZE:
            raise InvalidNode(f"a digest has {DIGEST_SIZE} bytes, not {len(value)}", path="digest")
        return super().__new__(cls, value)

    @classmethod
    def of(cls, data: bytes | bytearray | memoryview) -> Self:
        """The digest of ``data``."""
        return bytes.__new__(cls, blake3(data).digest())  # 32 bytes without asking: this is a hot path

    @classmethod
    def from_hex(cls, text: str) -> Self:
        """Read 64 hex digits of either case; :class:`InvalidNode` otherwise."""
        try:
            return cls(bytes.fromhex(text))
        except ValueError as error:
            if isinstance(error, InvalidNode):
                raise
            raise InvalidNode(f"not a digest in hex: {text!r}", path="digest", hint="64 hex digits") from error

    def __str__(self) -> str:
        return self.hex()

    def __repr__(self) -> str:
        return f"Digest({self.hex()})"
