"""A run's log by line numbers, running or finished, from any process; the bytes stay on disk.

In memory are 8 bytes a line, 16 more for one that leaves a colour set, and 40 bytes for every 256 chunks. Lines are
numbered from 1, in the order of :class:`tvixbuild_nb.sandbox.RunLog`: by when they came to their ends.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Iterator
from typing import NamedTuple

from tvixbuild_nb.build import RunRecord
from tvixbuild_nb.request import Redactor
from tvixbuild_nb.sandbox.lines import LineAssembler
from tvixbuild_nb.widgets.log.chunks import Chunks
from tvixbuild_nb.widgets.log.folds import FoldFinder
from tvixbuild_nb.widgets.log.hidden import margin
from tvixbuild_nb.widgets.log.styles import Styles

_RECORDS = 1024
_READ = 1 << 20
# A line: two bits of stream, 45 of position in that stream, 17 of length.
_LENGTH_BITS = 17
_LENGTH = (1 << _LENGTH_BITS) - 1
_POSITION = (1 << 45) - 1
_STREAM_SHIFT = 62


class SourceLine(NamedTuple):
    """One line: number from 1, when its first byte came (seconds since the epoch), index into STREAMS, bytes.

    ``at``: where it begins in its stream.
    """

    number: int
    time: float
    stream: int
    raw: bytes
    at: int = 0


class LogSource:
    """The lines of one run's log. Thread-safe; :meth:`advance` takes in what was written since.

    ``redactor`` hides the values of secrets in everything that leaves a view; it is the record's own by default.
    ``size``: bytes taken in; ``began``: when the first of them came, None before. ``settled``: lines that have their
    end; the at most three behind them may still grow.
    """

    def __init__(self, record: RunRecord, *, redactor: Redactor | None = None) -> None:
        self.record = record
        self.redactor = record.redactor() if redactor is None else redactor
        self.size = 0
        self.began: float | None = None
        self.folds = FoldFinder(self.redactor.text)
        self._lock = threading.RLock()
        self._chunks = Chunks(record)
        self._fresh = record.log()
        self._assembler = LineAssembler()
        self._lines = array("Q")
        # Where the line without an end begins, in each stream.
        self._starts = [0, 0, 0]
        self._styles = Styles()
        self._finished = False
        self._drained = False

    def close(self) -> None:
        """Let go of the files; the record stays."""
        with self._lock:
            self._fresh.close()
            self._chunks.close()

    @property
    def settled(self) -> int:
        return len(self._lines)

    @property
    def total(self) -> int:
        """Lines so far, with those that have no end yet."""
        return len(self._lines) + len(self._assembler.rest)

    def is_running(self) -> bool:
        """Whether more may be written; asks the file system until that says no."""
        if not self._finished:
            self._finished = (self.record.path / "result.json").exists() or not self.record.is_running()
        return not self._finished

    @property
    def may_grow(self) -> bool:
        """Whether lines may come that have not been taken in, as far as is known without asking."""
        return not (self._finished and self._drained)

    def advance(self, seconds: float = 0.03) -> bool:
        """Take in what was written since, for about ``seconds`` at most; whether there is more already."""
        deadline = time.monotonic() + seconds
        finished = self._finished
        while time.monotonic() < deadline:
            with self._lock:
                if not self._take():
                    # What came before it was known to be finished was all.
                    self._drained = finished
                    return False
        return True

    def _take(self) -> bool:
        records = list(self._fresh.records(_RECORDS))
        if not records:
            return False
        if self.began is None:
            self.began = records[0].time
        self._chunks.note(records)
        stream, start, end = records[0].stream, records[0].offset, records[0].offset
        for record in records:
            # Neighbours of one stream go as one: a program without buffers writes very small chunks.
            if record.stream != stream or record.offset != end or end - start >= _READ:
                self._feed(stream, start, end)
                stream, start = record.stream, record.offset
            end = record.offset + record.length
        self._feed(stream, start, end)
        self.size = end
        return True

    def _feed(self, stream: int, start: int, end: int) -> None:
        lines, cut = self._assembler.feed(stream, self._fresh.read(start, end - start))
        at = self._starts[stream]
        self._styles.feed(stream, len(self._lines) + 1, lines)
        self.folds.feed(len(self._lines) + 1, lines)
        append, base = self._lines.append, stream << _STREAM_SHIFT
        if cut:
            for index, line in enumerate(lines):
                append(base | at << _LENGTH_BITS | len(line))
                at += len(line) + (index not in cut)
        else:
            for line in lines:
                append(base | at << _LENGTH_BITS | len(line))
                at += len(line) + 1
        self._starts[stream] = at

    def lines(self, first: int, count: int, budget: int = 1 << 20, *, times: bool = True) -> list[SourceLine]:
        """The lines from number ``first`` on, at most ``count`` and ``budget`` bytes of them, but one at least.

        Without ``times`` these are 0: for who looks at very many lines.
        """
        with self._lock:
            found = list(self._settled(max(first, 1), count, budget, times=times))
            number = first + len(found)
            if len(found) < count and number > len(self._lines) and sum(len(line.raw) for line in found) < budget:
                found += self._unsettled()[number - len(self._lines) - 1 :][: count - len(found)]
            return found

    def style(self, line: SourceLine) -> int:
        """The style the line begins in, see :mod:`tvixbuild_nb.widgets.log.sgr`."""
        with self._lock:
            return self._styles.before(line.stream, line.number)

    def around(self, first: SourceLine, last: SourceLine) -> tuple[list[bytes], list[bytes], bool]:
        """What surrounds two lines of one stream, or one line, in it: before and behind, as far as secrets may reach.

        And whether that stream may go on behind what is there: not when its end is out of reach.
        """
        wide, stream = margin(self.redactor), first.stream
        with self._lock:
            end = self._chunks.end(stream)
            behind = last.at + len(last.raw)
            before = self._chunks.read(stream, max(0, first.at - wide), first.at)
            after = self._chunks.read(stream, behind, min(end, behind + wide))
            return before.split(b"\n"), after.split(b"\n"), self.may_grow and behind + wide >= end

    def tail(self, count: int, budget: int = 1 << 16) -> list[SourceLine]:
        """The last lines, at most ``count`` and about ``budget`` bytes of them, but one at least."""
        with self._lock:
            first, size = self.total + 1, 0
            rest = list(self._assembler.rest.values())
            while first > 1 and self.total + 1 - first < count and size < budget:
                first -= 1
                settled = first <= len(self._lines)
                size += self._lines[first - 1] & _LENGTH if settled else len(rest[first - len(self._lines) - 1])
            return self.lines(first, count, max(budget, size) + 1)

    def raw(self, offset: int, length: int) -> bytes:
        """The log's own bytes, of those taken in."""
        with self._lock:
            return self._fresh.read(offset, min(length, self.size - offset)) if offset < self.size else b""

    def _settled(self, first: int, count: int, budget: int, *, times: bool) -> Iterator[SourceLine]:
        spans: list[tuple[int, int, int]] = []
        size = 0
        extent: dict[int, tuple[int, int]] = {}
        for packed in self._lines[first - 1 : first - 1 + count]:
            stream, at, length = packed >> _STREAM_SHIFT, packed >> _LENGTH_BITS & _POSITION, packed & _LENGTH
            if spans and size + length > budget:
                break
            spans.append((stream, at, length))
            size += length
            # The lines of one stream lie in it one after the other: one piece of each stream holds them all.
            extent[stream] = (extent[stream][0] if stream in extent else at, at + length)
        pieces = {stream: self._chunks.read(stream, start, end) for stream, (start, end) in extent.items()}
        for number, (stream, at, length) in enumerate(spans, first):
            begin = at - extent[stream][0]
            moment = self._chunks.time(stream, at) if times else 0.0
            yield SourceLine(number, moment, stream, pieces[stream][begin : begin + length], at)

    def _unsettled(self) -> list[SourceLine]:
        return [
            SourceLine(number, self._chunks.time(stream, self._starts[stream]), stream, rest, self._starts[stream])
            for number, (stream, rest) in enumerate(self._assembler.rest.items(), len(self._lines) + 1)
        ]
