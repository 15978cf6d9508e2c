"""Messages that are read and written by hand are what protobuf says they are."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from tvixbuild_nb.castore.remote.messages import chunk_data, chunk_message
from tvixbuild_nb.errors import InvalidNode
from tvixbuild_nb.proto import castore_pb2


@given(st.binary(max_size=300))
@example(bytes(1 << 14))
def test_chunks(data: bytes) -> None:
    assert chunk_message(data) == castore_pb2.BlobChunk(data=data).SerializeToString()
    assert chunk_data(chunk_message(data)) == data


@given(st.binary(max_size=8) | st.binary(max_size=8).map(b"\x0a".__add__))
@example(b"\x0a")
@example(b"\x0a\x80")
@example(b"\x0a\x80\x80\x80\x80\x80")
@example(b"\x0a\x80\x00")
def test_any_bytes(message: bytes) -> None:
    try:
        expected = castore_pb2.BlobChunk.FromString(message).data
    except DecodeError:
        with pytest.raises(InvalidNode):
            chunk_data(message)
    else:
        assert chunk_data(message) == expected
