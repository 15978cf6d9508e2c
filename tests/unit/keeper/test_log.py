"""The log on disk: what is written is read back, growing or finished; a full disk loses bytes, not builds."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvixbuild_nb.keeper import STREAMS, LogReader
from tvixbuild_nb.keeper.log import LogWriter


@given(st.lists(st.tuples(st.integers(0, 2), st.binary(min_size=1, max_size=50)), max_size=30), st.integers(1, 7))
@settings(max_examples=50)
def test_what_is_written_is_read_in_order(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[tuple[int, bytes]], limit: int
) -> None:
    base = tmp_path_factory.mktemp("log")
    writer = LogWriter(str(base / "log"), str(base / "index"))
    for time, (stream, data) in enumerate(chunks):
        writer.write(stream, data, float(time))
    writer.close()
    with LogReader(base / "log", base / "index") as reader:
        found = []
        while records := list(reader.records(limit)):
            found += [(record.stream, reader.read(record.offset, record.length)) for record in records]
        assert found == chunks
        assert reader.size() == sum(len(data) for _, data in chunks) == writer.size


def test_a_reader_follows_a_growing_log_that_was_not_there_at_first(tmp_path: Path) -> None:
    reader = LogReader(tmp_path / "log", tmp_path / "index")
    assert list(reader.records()) == [] and reader.size() == 0 and reader.read(0, 10) == b""
    writer = LogWriter(str(tmp_path / "log"), str(tmp_path / "index"))
    writer.write(STREAMS.index("stderr"), b"first", 1.5)
    assert [(r.time, r.stream, r.offset, r.length) for r in reader.records()] == [(1.5, 1, 0, 5)]
    writer.write(0, b"second", 2.5)
    assert [r.offset for r in reader.records()] == [5]
    assert list(reader.records()) == []
    writer.close()
    reader.close()


def test_a_full_disk_is_noted_and_the_build_goes_on() -> None:
    writer = LogWriter("/dev/full", "/dev/null")
    writer.write(0, b"lost", 1.0)
    writer.write(0, b"too", 2.0)
    assert writer.error == "No space left on device"
    assert (writer.size, writer.lost) == (0, 7)
    writer.close()
