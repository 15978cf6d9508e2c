"""Logs without secrets: whatever is printed, however it is cut, whoever writes in between."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tvixbuild_nb.build.records.loghiding import copy_log, hidden_places
from tvixbuild_nb.keeper import LogReader
from tvixbuild_nb.keeper.log import LogWriter
from tvixbuild_nb.request import Redactor

VALUE = "s3cr3t"
_CHUNK = st.tuples(
    st.integers(0, 1), st.sampled_from([b"s3cr3t", b"s3c", b"r3t", b"s3", b"cr", b"3t", b"x", b"\n", b""])
)


def _written(path: Path, chunks: list[tuple[int, bytes]]) -> tuple[Path, Path]:
    log, index = path / "log", path / "log.index"
    for file in (log, index):
        file.unlink(missing_ok=True)
    writer = LogWriter(str(log), str(index))
    for number, (stream, data) in enumerate(chunks):
        writer.write(stream, data, float(number))
    writer.close()
    return log, index


def _hidden(path: Path, chunks: list[tuple[int, bytes]]) -> list[tuple[float, int, bytes]]:
    log, index = _written(path, chunks)
    to = path / "out"
    to.mkdir(exist_ok=True)
    for name in ("log", "log.index"):
        (to / name).unlink(missing_ok=True)
    places = hidden_places(log, index, Redactor({"TOKEN": VALUE}))
    copy_log(log, index, places, to / "log", to / "log.index")
    with LogReader(to / "log", to / "log.index") as reader:
        found = [(r.time, r.stream, reader.read(r.offset, r.length)) for r in reader.records(1 << 20)]
        assert b"".join(data for _, _, data in found) == (to / "log").read_bytes()
        assert places.moved(log.stat().st_size) == reader.size()
    return found


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chunks=st.lists(_CHUNK, max_size=12))
def test_no_value_is_left_and_nothing_else_is_missing(tmp_path: Path, chunks: list[tuple[int, bytes]]) -> None:
    found = _hidden(tmp_path, chunks)
    value, label = VALUE.encode(), b"[secret TOKEN]"
    whole = b"".join(data for _, _, data in found)
    streams = [b"".join(data for _, which, data in found if which == stream) for stream in (0, 1)]
    assert all(value not in text for text in (whole, *streams))
    assert [time for time, _, _ in found] == sorted(time for time, _, _ in found)
    before = [b"".join(data for which, data in chunks if which == stream) for stream in (0, 1)]
    if len({which for which, _ in chunks}) == 1:
        assert whole == b"".join(data for _, data in chunks).replace(value, label)
    elif all(value not in text for text in (b"".join(data for _, data in chunks), *before)):
        assert whole == b"".join(data for _, data in chunks)


def test_a_value_that_other_streams_part_is_left_out_of_all_its_parts(tmp_path: Path) -> None:
    found = _hidden(tmp_path, [(0, b"a s3c"), (1, b"between"), (0, b"r3"), (1, b"!"), (0, b"t b")])
    assert [(stream, data) for _, stream, data in found] == [
        (0, b"a [secret TOKEN]"), (1, b"between"), (1, b"!"), (0, b" b"),
    ]  # fmt: skip


def test_a_value_over_the_border_of_what_is_read_at_once(tmp_path: Path) -> None:
    for before in ((1 << 20) - 3, (1 << 20) + 2, (1 << 20) + 5, 3 << 20):
        data = b"x" * before + VALUE.encode() + b"y" * 100
        found = _hidden(tmp_path, [(0, data), (1, b"z"), (0, VALUE.encode())])
        assert [data.count(b"[secret TOKEN]") for _, _, data in found] == [1, 0, 1]
        assert sum(len(data) for _, _, data in found) == before + 100 + 1 + 2 * len(b"[secret TOKEN]")


def test_offsets_of_events_move_along(tmp_path: Path) -> None:
    log, index = _written(tmp_path, [(0, b"ab s3cr3t cd")])
    places = hidden_places(log, index, Redactor({"TOKEN": VALUE}))
    assert [places.moved(offset) for offset in (0, 3, 5, 9, 12)] == [0, 3, 17, 17, 20]
