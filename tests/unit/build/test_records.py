"""Runs on disk: ids, events merged with the log, results that come back as they were, dead owners."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tvixbuild_nb.build import (
    BuildOutput,
    BuildResult,
    EndEvent,
    Event,
    EventReader,
    LogEvent,
    RunRecord,
    StageEvent,
    Usage,
)
from tvixbuild_nb.castore import Digest, DirectoryNode, FileNode, SymlinkNode
from tvixbuild_nb.errors import RunNotFound
from tvixbuild_nb.keeper.log import LogWriter
from tvixbuild_nb.request import BuildRequest


def _result(record: RunRecord) -> BuildResult:
    digest = Digest.of(b"x")
    return BuildResult(
        id=record.id,
        request_digest=digest,
        service="dummy:",
        status="failed",
        failed_at="build",
        exit_code=3,
        message="why",
        outputs=(
            BuildOutput(path="a/f", node=FileNode(digest, 1, True), needles=(0, 2)),
            BuildOutput(path="a/d", node=DirectoryNode(digest, 4)),
            BuildOutput(path="a/l", node=SymlinkNode(b"\xff/to")),
        ),
        store="memory:",
        started=1.0,
        finished=2.5,
        timings={"run": 1.25},
        usage=Usage(wall=1.0, source="cgroup"),
        degraded=("cgroups: no",),
        bundle=Path("/x"),
    )


def test_a_result_comes_back_as_it_was(tmp_path: Path) -> None:
    record = RunRecord.create(tmp_path)
    assert record.read_result() is None
    record.write_result(_result(record))
    assert record.read_result() == _result(record)
    assert "without: cgroups: no" in _result(record).verdict()


def test_runs_are_opened_by_id_or_prefix(tmp_path: Path) -> None:
    first, second = RunRecord.create(tmp_path), RunRecord.create(tmp_path)
    assert [record.id for record in RunRecord.all(tmp_path)] == sorted([first.id, second.id])
    assert RunRecord.open(first.id, tmp_path).path == first.path
    with pytest.raises(RunNotFound, match="2 runs begin with"):
        RunRecord.open(first.id[:4], tmp_path)
    for wrong in ("nothing", "", "../x", "*"):
        with pytest.raises(RunNotFound):
            RunRecord.open(wrong, tmp_path / "empty" if not wrong else tmp_path)
    second.delete()
    second.delete()
    assert RunRecord.open(first.id[:4], tmp_path).id == first.id


def test_events_and_log_chunks_are_merged_in_the_order_they_happened(tmp_path: Path) -> None:
    record = RunRecord.create(tmp_path)
    reader = EventReader(record)

    def read() -> list[Event]:
        return list(reader.read())

    record.emit(StageEvent(time=1, stage="run", state="started"))
    assert [event.type for event in read()] == ["stage"]
    log = LogWriter(str(record.log_path), str(record.index_path))
    log.write(0, b"one", 2.0)
    record.emit(StageEvent(time=4, stage="run", state="finished", log_offset=6))
    # The stage's end is known already, its last bytes are not in the index yet: it has to wait for them.
    assert [event.type for event in read()] == ["log"]
    log.write(1, b"two", 3.0)
    log.close()
    record.emit(EndEvent(time=5, status="succeeded", log_offset=6))
    rest = read()
    assert [event.type for event in rest] == ["log", "stage", "end"]
    assert isinstance(rest[0], LogEvent)
    assert (rest[0].stream, rest[0].offset, rest[0].data) == ("stderr", 3, b"two")
    assert reader.ended and read() == []
    reader.close()


def test_a_run_whose_process_died_was_cancelled_by_that(tmp_path: Path) -> None:
    record = RunRecord.create(tmp_path)
    record.write_request(BuildRequest(command_args=["x"]))
    with record.held():
        assert record.is_running()
        assert RunRecord.open(record.id, tmp_path).verdict() is None
    assert not record.is_running()
    verdict = record.verdict()
    assert verdict is not None and verdict.status == "cancelled" and "died" in (verdict.message or "")


def test_half_a_line_of_events_is_not_read(tmp_path: Path) -> None:
    record = RunRecord.create(tmp_path)
    record.emit(StageEvent(time=time.time(), stage="run", state="started"))
    with (record.path / "events.jsonl").open("ab") as file:
        file.write(b'{"type":"sta')
    reader = EventReader(record)
    assert len(list(reader.read())) == 1
    reader.close()
