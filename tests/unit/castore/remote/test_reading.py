"""Reading over gRPC: nothing is kept that need not be, what is cut off begins again, what is wrong is not given out."""

from __future__ import annotations

import io
import random
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tvixbuild_nb.castore import Digest
from tvixbuild_nb.castore.remote.incoming import Incoming
from tvixbuild_nb.castore.remote.messages import chunk_message
from tvixbuild_nb.castore.remote.reading import RemoteFile, RemoteReader
from tvixbuild_nb.errors import DigestMismatch, StoreError

DATA = random.Random(7).randbytes(6 << 20)
PIECE = 100_000


class Failed(grpc.RpcError):
    """A call that failed."""

    def __init__(self, code: str) -> None:
        self.code = lambda: getattr(grpc.StatusCode, code)
        self.details = lambda: "why"
        self.trailing_metadata = lambda: ()


class Answer:
    """The messages of one call."""

    def __init__(self, messages: Iterator[bytes]) -> None:
        self._messages = messages

    def __iter__(self) -> Answer:
        return self

    def __next__(self) -> bytes:
        return next(self._messages)

    def cancel(self) -> bool:
        self._messages = iter(())
        return True


class Far:
    """Another side that has ``data``; ``cuts``: after how many bytes each call breaks, and how."""

    def __init__(
        self, data: bytes = DATA, cuts: list[tuple[int, str]] | None = None, later: bytes | None = None
    ) -> None:
        self.data = data
        self.cuts = cuts or []
        self.later = later
        self.reads = 0

    def read(self, digest: Digest) -> Any:
        data = self.data if self.reads == 0 or self.later is None else self.later
        self.reads += 1
        cut = self.cuts.pop(0) if self.cuts else None
        return Answer(self._messages(data, cut, self.reads))

    def _messages(self, data: bytes, cut: tuple[int, str] | None, number: int) -> Iterator[bytes]:
        # Where it is cut into messages is another place each time.
        for start in range(0, len(data), PIECE - number):
            if cut is not None and start >= cut[0]:
                raise Failed(cut[1])
            yield chunk_message(data[start : start + PIECE - number])
        if cut is not None:
            raise Failed(cut[1])


def opened(far: Far) -> RemoteFile:
    return RemoteFile(Incoming(far.read, Digest.of(DATA)))


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No place for temporary files: whoever wants one fails."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))


@pytest.mark.usefixtures("no_room")
def test_front_to_back_keeps_nothing() -> None:
    far = Far()
    with opened(far).buffered() as stream:
        assert stream.read() == DATA and stream.read(1) == b""
        stream.seek(0)
        assert stream.read(1000) == DATA[:1000]
        stream.seek(5 << 20)
        assert stream.read() == DATA[5 << 20 :]
    assert far.reads == 2


@pytest.mark.usefixtures("no_room")
def test_no_room_for_what_is_read_out_of_order() -> None:
    with pytest.raises(StoreError, match="read out of order") as raised:
        RemoteReader(Incoming(Far().read, Digest.of(DATA)))
    assert "TMPDIR" in str(raised.value)


def test_in_any_order_it_is_fetched_once_more_and_no_more() -> None:
    far = Far()
    with opened(far).buffered() as stream:
        assert stream.read(3 << 20) == DATA[: 3 << 20]
        for place in (2 << 20, 100, 5 << 20, 1 << 20, 0):
            stream.seek(place)
            assert stream.read(300_000) == DATA[place : place + 300_000]
        assert stream.seek(-5, io.SEEK_END) == len(DATA) - 5 and stream.read() == DATA[-5:]
        stream.seek(len(DATA) + 10)
        assert stream.read() == b""
    assert far.reads == 2


def test_who_asks_for_the_end_first_has_one_read() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a", DATA)
        archive.writestr("b", b"b" * 1000)
    far = Far(packed.getvalue())
    with (
        RemoteFile(Incoming(far.read, Digest.of(packed.getvalue()))).buffered() as stream,
        zipfile.ZipFile(stream) as archive,
    ):
        assert archive.read("b") == b"b" * 1000 and archive.read("a") == DATA
    assert far.reads == 1


@pytest.mark.parametrize("code", ["CANCELLED", "UNAVAILABLE", "ABORTED"])
@pytest.mark.parametrize("kind", ["stream", "reader"])
def test_what_was_cut_off_begins_again(code: str, kind: str) -> None:
    far = Far(cuts=[(1 << 20, code), (3 << 20, code), (len(DATA), code)])
    if kind == "stream":
        with opened(far).buffered() as stream:
            assert b"".join(iter(lambda: stream.read(70_000), b"")) == DATA
    else:
        reader = RemoteReader(Incoming(far.read, Digest.of(DATA)))
        assert (reader.size, reader.pread(1000, 10)) == (len(DATA), DATA[1000:1010])
        reader.close()
    assert far.reads == 4


def test_not_for_ever_and_not_after_other_failures() -> None:
    for cuts, reads in (
        ([(1 << 20, "UNAVAILABLE"), (0, "UNAVAILABLE")], 2),
        ([(1 << 20, "UNAVAILABLE"), (1 << 19, "UNAVAILABLE")], 2),
        ([(0, "UNAVAILABLE")], 1),
        ([(1 << 20, "INTERNAL")], 1),
    ):
        far = Far(cuts=list(cuts))
        with opened(far) as stream, pytest.raises(StoreError, match="why"):
            while stream.read(1 << 20):
                pass
        assert far.reads == reads


def test_begun_again_it_must_be_the_same() -> None:
    other = b"!" + DATA[1:]
    for later in (other, DATA[: 1 << 19]):
        far = Far(cuts=[(1 << 20, "CANCELLED")], later=later)
        with opened(far) as stream, pytest.raises(DigestMismatch):
            while stream.read(1 << 20):
                pass


def test_nothing_and_what_is_not_there() -> None:
    empty = RemoteFile(Incoming(Far(b"").read, Digest.of(b"")))
    assert empty.begin() and empty.read() == b"" and empty.seek(0, io.SEEK_END) == 0
    empty.close()
    far = Far(cuts=[(0, "NOT_FOUND")])
    with opened(far) as stream:
        assert not stream.begin()
