"""Nix's base 32."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvixbuild_nb.errors import InvalidNixHash
from tvixbuild_nb.nix import base32

# SHA-1 of nothing, and its digits as `nix-hash --type sha1 --to-base32` prints them.
NOTHING = bytes.fromhex("da39a3ee5e6b4b0d3255bfef95601890afd80709"), "143xibwh31h9bvxzalr0sjvbbvpa6ffs"


def test_known_digits() -> None:
    assert base32.encode(NOTHING[0]) == NOTHING[1]
    assert base32.decode(NOTHING[1]) == NOTHING[0]
    assert base32.encode(b"") == "" and base32.decode("") == b""
    assert base32.encode(b"\x1f") == "0z"


@given(st.binary(max_size=70))
def test_every_number_of_bytes(data: bytes) -> None:
    text = base32.encode(data)
    assert len(text) == base32.encoded_length(len(data))
    assert base32.decode(text) == base32.decode(text.encode()) == data
    number = int.from_bytes(data, "little")
    assert text == "".join(base32.ALPHABET[number >> 5 * digit & 31] for digit in reversed(range(len(text))))


@given(st.text(base32.ALPHABET + "eotu", max_size=12))
def test_only_what_encode_writes_is_decoded(text: str) -> None:
    try:
        data = base32.decode(text)
    except InvalidNixHash:
        return
    assert base32.encode(data) == text


@pytest.mark.parametrize(
    "text, index, message",
    [
        ("0e", 1, "'e' is no digit"),
        ("0000!", 4, "'!' is no digit"),
        ("ü0", 0, "no digit"),
        ("0", None, "no number of bytes"),
        ("z0", 0, "beyond the last byte"),
    ],
)
def test_refusals(text: str, index: int | None, message: str) -> None:
    with pytest.raises(InvalidNixHash, match=message) as refused:
        base32.decode(text)
    assert refused.value.index == index
