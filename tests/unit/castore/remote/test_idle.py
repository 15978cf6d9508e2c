"""Who takes a blob slowly, or goes on with it later, has all of it, also from a server that gives up on the idle."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tvixbuild_nb.castore import Castore, FileNode, open_castore
from tvixbuild_nb.serve import Listen, Server, ServerOptions

PATIENCE = 0.3
DATA = random.Random(11).randbytes(1 << 20) * 48


@pytest.fixture
def far(tmp_path: Path) -> Iterator[tuple[Castore, FileNode]]:
    with open_castore(tmp_path / "served") as served:
        node = served.ingest_bytes(DATA)
        with (
            Server(Listen(path=tmp_path / "s"), served, None, ServerOptions(patience=PATIENCE)) as server,
            open_castore(server.address) as castore,
        ):
            yield castore, node


def test_a_stream_that_is_read_on_with_later(far: tuple[Castore, FileNode]) -> None:
    castore, node = far
    with castore.tree(node).open() as stream:
        read = stream.read(1 << 20)
        for _ in range(3):
            time.sleep(3 * PATIENCE)
            read += stream.read(1 << 20)
        assert read + stream.read() == DATA


def test_several_that_take_turns(far: tuple[Castore, FileNode]) -> None:
    castore, node = far
    streams = [castore.tree(node).open() for _ in range(5)]
    parts: list[list[bytes]] = [[] for _ in streams]
    for size in (1 << 20, 3 << 20, -1):
        for stream, part in zip(streams, parts, strict=True):
            part.append(stream.read(size))
        time.sleep(3 * PATIENCE)
    assert all(b"".join(part) == DATA for part in parts)
    for stream in streams:
        stream.close()
