"""What a worker tells of a build: stages and the beginning of the log as they come, everything in the answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from tvixbuild_nb.build.events import LogEvent, StageEvent
from tvixbuild_nb.build.record import EventReader, RunRecord
from tvixbuild_nb.build.result import BuildResult
from tvixbuild_nb.build.workers.job import Answer, LogTold, Message, StageTold, Voice

# Bytes of a log that travel: its beginning and its end. LIVE of the former are told while it grows.
HEAD = TAIL = 1 << 20
LIVE = 256 << 10
# Bytes of one file of the record, such as the trace of accesses.
LARGEST_FILE = 4 << 20
FILES = ("config.json", "accesses.json", "inside.json", "host.json", "processes.json")
# Bytes: as much as anybody sees of the end of a log that is not told any more.
_LAST = 400
# Seconds between two looks, and events of one look.
_LOOK = 0.15
_EVENTS = 64


class Teller:
    """Tells what happens in ``record`` on a thread of its own, during the block."""

    def __init__(self, record: RunRecord, voice: Voice) -> None:
        self._reader = EventReader(record)
        self._voice = voice
        self._over = threading.Event()
        self._stages = 0
        self._thread = threading.Thread(target=self._go, name=f"tell {record.id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._reader.close()

    def _go(self) -> None:
        over = False
        while not over:
            over = self._over.wait(_LOOK)
            last = None
            for event in self._reader.read(_EVENTS):
                if isinstance(event, StageEvent):
                    self._voice.tell({"told": "stage", "number": self._stages, "event": event.model_dump_json()})
                    self._stages += 1
                elif isinstance(event, LogEvent) and event.offset < LIVE:
                    self._voice.tell(_chunk(event))
                elif isinstance(event, LogEvent):
                    last = event.data[-_LAST:]
            if last is not None:
                self._voice.tell({"told": "last", "data": last})


def _chunk(event: LogEvent) -> Message:
    data = event.data[: LIVE - event.offset]
    return {"told": "log", "time": event.time, "stream": event.stream, "offset": event.offset, "data": data}


def answer(worker: str, record: RunRecord, result: BuildResult) -> Answer:
    """All there is to say of a build that is over."""
    events = tuple(_events(record, result.log_size))
    files, notes = {}, []
    for name in FILES:
        path = record.path / name
        if not path.exists():
            continue
        if path.stat().st_size > LARGEST_FILE:
            notes.append(f"{name}: it is larger than {LARGEST_FILE} bytes and stayed on the worker")
        else:
            files[name] = path.read_bytes()
    left_out = max(0, result.log_size - HEAD - TAIL)
    return Answer(worker, result.model_dump_json(), events, files, left_out, tuple(notes))


def _events(record: RunRecord, size: int) -> Iterator[StageTold | LogTold]:
    """The events in order but the last; of the log at most the first HEAD and the last TAIL bytes."""
    reader = EventReader(record)
    skipped = range(HEAD, max(HEAD, size - TAIL))
    try:
        while events := list(reader.read(_EVENTS)):
            for event in events:
                if isinstance(event, StageEvent):
                    yield StageTold(event.model_dump_json())
                elif isinstance(event, LogEvent):
                    yield from _parts(event, skipped)
    finally:
        reader.close()


def _parts(event: LogEvent, skipped: range) -> Iterator[LogTold]:
    start, end = event.offset, event.offset + len(event.data)
    spans = [(start, end)] if not skipped else [(start, min(end, skipped.start)), (max(start, skipped.stop), end)]
    for first, last in spans:
        if first < last:
            yield LogTold(event.time, event.stream, first, event.data[first - start : last - start])
