"""What a server answers to who asks for many blobs: those that are small, in bounded messages, and nothing else."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tvixbuild_nb.castore import Digest, open_castore
from tvixbuild_nb.castore.remote.connection import CHUNK, MESSAGE
from tvixbuild_nb.castore.services import SMALL
from tvixbuild_nb.errors import InvalidNode
from tvixbuild_nb.proto.manyblobs_pb2 import GetManyRequest, GetManyResponse
from tvixbuild_nb.serve.manyblobs import ManyBlobsHandlers


def asked(handlers: ManyBlobsHandlers, digests: list[bytes]) -> list[GetManyResponse]:
    call: Any = None
    messages = list(handlers.get(GetManyRequest(digests=digests).SerializeToString(), call))
    assert max(map(len, messages)) < CHUNK + SMALL
    return [GetManyResponse.FromString(message) for message in messages]


@pytest.mark.parametrize("address", ["memory:", "{}/local", "objectstore+file:{}/objects"])
def test_small_ones_in_bounded_messages(address: str, tmp_path: Any) -> None:
    data = random.Random(3)
    contents = [data.randbytes(size) for size in (0, 1, SMALL, *[100_000] * 40)]
    with open_castore(address.format(tmp_path)) as castore:
        digests = [castore.ingest_bytes(each).digest for each in contents]
        larger = [castore.ingest_bytes(bytes(size)).digest for size in (SMALL + 1, 9 << 20)]
        handlers = ManyBlobsHandlers(castore)
        absent = Digest.of(b"not there")
        answers = asked(handlers, [absent, *larger, *digests, *digests])
        assert len(answers) > 3
        assert sorted(blob for each in answers for blob in each.blobs) == sorted(contents)
        assert sorted(digest for each in answers for digest in each.larger) == sorted(larger)
        (nothing,) = asked(handlers, [absent])
        assert not nothing.blobs and not nothing.larger


def test_what_is_no_question() -> None:
    call: Any = None
    with open_castore("memory:") as castore:
        handlers = ManyBlobsHandlers(castore)
        for data in (b"\xff", GetManyRequest(digests=[b"short"]).SerializeToString(), bytes(MESSAGE + 1)):
            with pytest.raises(InvalidNode):
                list(handlers.get(data, call))
