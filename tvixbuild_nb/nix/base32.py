"""Nix's base 32: digits and letters without e, o, u, t, writing a little-endian number, its highest digit first."""

from __future__ import annotations

import base64

from tvixbuild_nb.errors import InvalidNixHash

ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"
_RFC4648 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_TO_NIX = bytes.maketrans(_RFC4648, ALPHABET.encode())
# What int() reads in base 32.
_TO_INT = bytes.maketrans(ALPHABET.encode(), b"0123456789abcdefghijklmnopqrstuv")
_GROUP_BYTES = 5


def encoded_length(size: int) -> int:
    """How many digits ``size`` bytes become: one for every five bits, rounded up."""
    return (size * 8 + 4) // 5


def encode(data: bytes) -> str:
    """``data`` in nixbase32; as many digits as :func:`encoded_length` says."""
    # RFC 4648's encoder groups bits from the front: reversed and filled up in front, the groups are Nix's.
    filled = bytes(-len(data) % _GROUP_BYTES) + data[::-1]
    digits = base64.b32encode(filled).translate(_TO_NIX).decode()
    return digits[len(digits) - encoded_length(len(data)) :]


def decode(text: str | bytes) -> bytes:
    """The bytes that ``text`` stands for; only what :func:`encode` writes is taken.

    :class:`InvalidNixHash` with the offset for a character outside the alphabet, a length that no number of
    bytes has, and bits beyond the last byte.
    """
    digits = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    size = len(digits) * 5 // 8
    bad = next(iter(digits.translate(None, ALPHABET.encode())), None)
    if bad is not None:
        raise InvalidNixHash(f"{chr(bad)!a} is no digit of nixbase32", path="nixbase32", index=digits.index(bad))
    if encoded_length(size) != len(digits):
        raise InvalidNixHash(f"{len(digits)} digits of nixbase32 are no number of bytes", path="nixbase32")
    number = int(digits.translate(_TO_INT) or b"0", 32)
    if number >> (size * 8):
        raise InvalidNixHash("the first digit has bits beyond the last byte", path="nixbase32", index=0)
    return number.to_bytes(size, "little")
