"""Where in a log's file the bytes of each stream lie, and when they came; asked by position within the stream."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tvixbuild_nb.build import RunRecord
from tvixbuild_nb.keeper import STREAMS, IndexRecord

_BLOCK = 256
_KEPT = 16


class _Chunk(NamedTuple):
    position: int
    length: int
    offset: int
    time: float


class Chunks:
    """The chunks of each stream. What every 256th record begins with is in memory, the rest is read when needed."""

    def __init__(self, record: RunRecord) -> None:
        self._log = record.log()
        self._count = 0
        self._ends = [0 for _ in STREAMS]
        # By stream, the position that each block of records begins with.
        self._begins = [array("Q") for _ in STREAMS]
        self._blocks: dict[int, tuple[int, list[list[_Chunk]]]] = {}

    def close(self) -> None:
        self._log.close()

    def note(self, records: Sequence[IndexRecord]) -> None:
        """Take in the next records of the log's index."""
        for record in records:
            if self._count % _BLOCK == 0:
                for begins, end in zip(self._begins, self._ends, strict=True):
                    begins.append(end)
            self._ends[record.stream] += record.length
            self._count += 1

    def end(self, stream: int) -> int:
        """How many bytes of the stream there are."""
        return self._ends[stream]

    def time(self, stream: int, position: int) -> float:
        """When the byte at ``position`` of the stream came, seconds since the epoch."""
        return next(self._from(stream, position)).time

    def read(self, stream: int, start: int, end: int) -> bytes:
        """The bytes of a stream between two positions."""
        parts: list[bytes] = []
        begin = stop = 0
        for chunk in self._from(stream, start) if start < end else ():
            skip = max(0, start - chunk.position)
            offset, length = chunk.offset + skip, min(chunk.length, end - chunk.position) - skip
            if offset != stop:
                parts.append(self._log.read(begin, stop - begin))
                begin = offset
            stop = offset + length
            if chunk.position + chunk.length >= end:
                break
        parts.append(self._log.read(begin, stop - begin))
        return b"".join(parts)

    def _from(self, stream: int, position: int) -> Iterator[_Chunk]:
        """The chunks of the stream from the one that holds ``position``, which is there."""
        while True:
            number = bisect_right(self._begins[stream], position) - 1
            chunks = self._block(number)[stream]
            for chunk in chunks[bisect_right(chunks, position, key=_position) - 1 :]:
                yield chunk
                position = chunk.position + chunk.length
            if position >= self._ends[stream]:
                return

    def _block(self, number: int) -> list[list[_Chunk]]:
        count = min(_BLOCK, self._count - number * _BLOCK)
        known = self._blocks.get(number)
        if known is not None and known[0] == count:
            return known[1]
        self._log.position = number * _BLOCK
        positions = [begins[number] for begins in self._begins]
        chunks: list[list[_Chunk]] = [[] for _ in STREAMS]
        for record in self._log.records(count):
            chunks[record.stream].append(_Chunk(positions[record.stream], record.length, record.offset, record.time))
            positions[record.stream] += record.length
        while len(self._blocks) >= _KEPT:
            del self._blocks[next(iter(self._blocks))]
        self._blocks[number] = (count, chunks)
        return chunks


def _position(chunk: _Chunk) -> int:
    return chunk.position
