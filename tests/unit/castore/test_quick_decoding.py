"""The quick decoder of directories accepts exactly what the explaining one accepts, and gives the same."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from support.castore_values import directories
from tvixbuild_nb.castore import Directory, Node, encode_directory
from tvixbuild_nb.castore.encoding import _canonical_entries, _decode_explaining
from tvixbuild_nb.errors import InvalidNode

TELLING = st.sampled_from([0, 1, 2, 0x0A, 0x12, 0x1A, 0x18, 0x20, 0x2E, 0x2F, 0x7F, 0x80, 0xFF])


def explained(data: bytes) -> Mapping[bytes, Node] | None:
    try:
        return _decode_explaining(data).entries
    except InvalidNode:
        return None


@given(directories())
def test_what_is_encoded_is_read_quickly(directory: Directory) -> None:
    entries = _canonical_entries(encode_directory(directory))
    assert entries is not None
    assert list(entries.items()) == list(directory.entries.items())


@settings(max_examples=400)
@given(directories(min_size=1), st.data())
def test_damaged_bytes_are_judged_alike(directory: Directory, data: st.DataObject) -> None:
    damaged = bytearray(encode_directory(directory))
    at = data.draw(st.integers(0, len(damaged) - 1))
    match data.draw(st.sampled_from(["change", "drop", "repeat"])):
        case "change":
            damaged[at] = data.draw(TELLING | st.integers(0, 255))
        case "drop":
            del damaged[at : at + data.draw(st.integers(1, 40))]
        case _:
            damaged[at:at] = damaged[at : at + data.draw(st.integers(1, 60))]
    assert _canonical_entries(bytes(damaged)) == explained(bytes(damaged))
