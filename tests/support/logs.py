"""Logs of runs that were never run, for tests of what shows them."""

from __future__ import annotations

from pathlib import Path

from tvixbuild_nb.build import RunRecord
from tvixbuild_nb.keeper.log import LogWriter
from tvixbuild_nb.widgets.log import LogSource

START = 1_700_000_000.0


def written(runs: Path, *chunks: tuple[int, bytes]) -> RunRecord:
    """A record with these chunks (stream, bytes) in its log, a second apart."""
    record = RunRecord.create(runs)
    append(record, *chunks)
    return record


def append(record: RunRecord, *chunks: tuple[int, bytes]) -> None:
    """More of them."""
    writer = LogWriter(str(record.log_path), str(record.index_path))
    writer.size = record.log_path.stat().st_size
    for number, (stream, data) in enumerate(chunks):
        writer.write(stream, data, START + number)
    writer.close()


def taken(record: RunRecord, **options: object) -> LogSource:
    """A source that has taken in all of the log; of a run that is over, that is known."""
    source = LogSource(record, **options)  # type: ignore[arg-type]
    source.is_running()
    while source.advance():
        pass
    return source
