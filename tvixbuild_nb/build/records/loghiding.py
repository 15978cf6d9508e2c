"""A log without the values of secrets: its bytes and its index stay consistent, however chunks and streams cut them."""

from __future__ import annotations

import bisect
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tvixbuild_nb.keeper import LogReader
from tvixbuild_nb.keeper.log import IndexRecord, LogWriter
from tvixbuild_nb.request import Redactor
from tvixbuild_nb.request.redactor import label

_PIECE = 1 << 20
_BATCH = 4096


@dataclass(frozen=True, slots=True)
class HiddenPlaces:
    """Ranges of a log's bytes that are left out, in order: (first, end, what stands there instead)."""

    ranges: tuple[tuple[int, int, bytes], ...] = ()

    def moved(self, offset: int) -> int:
        """Where ``offset`` of the log lies in the one without them; the end of what replaces what it lies in."""
        change = 0
        for start, end, instead in self.ranges[: bisect.bisect_left(self.ranges, (offset,))]:
            change += len(instead) - (min(end, offset) - start)
        return offset + change


def hidden_places(log: Path, index: Path, redactor: Redactor) -> HiddenPlaces:
    """Where values stand in the log as it was written, and in what one stream wrote, whatever came between."""
    if not redactor:
        return HiddenPlaces()
    with LogReader(log, index) as reader:
        streams = {record.stream for record in _records(reader)}
    marks: list[tuple[int, int, bytes]] = []
    for stream in (None, *(streams if len(streams) > 1 else ())):
        with LogReader(log, index) as reader:
            chunks = (record for record in _records(reader) if stream in (None, record.stream))
            marks += _found(((record.offset, reader.read(record.offset, record.length)) for record in chunks), redactor)
    return HiddenPlaces(tuple(_merged(marks)))


def copy_log(log: Path, index: Path, places: HiddenPlaces, to_log: Path, to_index: Path) -> None:
    """Write the log without them, chunk by chunk with the time of each; one of which nothing is left is left out."""
    writer = LogWriter(str(to_log), str(to_index))
    try:
        with LogReader(log, index) as reader:
            todo = 0
            for record in _records(reader):
                data = reader.read(record.offset, record.length)
                kept, todo = _kept(record.offset, data, places.ranges, todo)
                if kept or not data:
                    writer.write(record.stream, kept, record.time)
    finally:
        writer.close()
    if writer.error is not None:
        raise OSError(0, writer.error, os.fspath(to_log))


def _records(reader: LogReader) -> Iterator[IndexRecord]:
    while records := list(reader.records(_BATCH)):
        yield from records


def _found(chunks: Iterable[tuple[int, bytes]], redactor: Redactor) -> list[tuple[int, int, bytes]]:
    """The ranges in the whole log of what stands in these parts of it when they are read as one."""
    marks: list[tuple[int, int, bytes]] = []
    data = bytearray()
    # Where the parts of ``data`` begin: in it, and in the log.
    begins: list[tuple[int, int]] = []
    keep = max(0, redactor.longest_bytes - 1)

    def look() -> None:
        for start, end, name in redactor.byte_places(data):
            instead = label(name).encode()
            for first, last in _in_log(begins, start, end):
                marks.append((first, last, instead))
                instead = b""

    for offset, chunk in chunks:
        for at in range(0, len(chunk), _PIECE):
            piece = chunk[at : at + _PIECE]
            begins.append((len(data), offset + at))
            data += piece
            if len(data) < _PIECE + keep:
                continue
            look()
            gone = len(data) - keep
            begins = [(max(place - gone, 0), where + max(gone - place, 0)) for place, where in _reaching(begins, gone)]
            del data[:gone]
    look()
    return marks


def _reaching(begins: list[tuple[int, int]], gone: int) -> list[tuple[int, int]]:
    """The parts of which something is left when so many bytes at the beginning go."""
    first = bisect.bisect_right(begins, (gone, 1 << 62)) - 1
    return begins[first:]


def _in_log(begins: list[tuple[int, int]], start: int, end: int) -> Iterator[tuple[int, int]]:
    number = bisect.bisect_right(begins, (start, 1 << 62)) - 1
    while start < end:
        place, where = begins[number]
        following = begins[number + 1][0] if number + 1 < len(begins) else end
        last = min(end, following)
        if last > start:
            yield where + start - place, where + last - place
        start, number = max(start, last), number + 1


def _merged(marks: list[tuple[int, int, bytes]]) -> Iterator[tuple[int, int, bytes]]:
    current: tuple[int, int, bytes] | None = None
    for start, end, instead in sorted(marks, key=lambda mark: (mark[0], mark[1], not mark[2])):
        if current is not None and start < current[1]:
            current = current[0], max(current[1], end), current[2] or instead
            continue
        if current is not None:
            yield current
        current = start, end, instead
    if current is not None:
        yield current


def _kept(offset: int, data: bytes, ranges: tuple[tuple[int, int, bytes], ...], todo: int) -> tuple[bytes, int]:
    """What stays of a chunk, and the number of the first range that the next chunk has to look at."""
    parts, position, end = [], 0, offset + len(data)
    while todo < len(ranges) and ranges[todo][0] < end:
        start, last, instead = ranges[todo]
        if start >= offset:
            parts += [data[position : start - offset], instead]
        position = min(last, end) - offset
        if last > end:
            break
        todo += 1
    return b"".join([*parts, data[position:]]), todo
