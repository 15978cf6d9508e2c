"""A run's log as people read it: text, lines, search, tail; the bytes stay on disk."""

from __future__ import annotations

import builtins
import codecs
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from tvixbuild_nb.build.events import Stream
from tvixbuild_nb.build.record import RunRecord
from tvixbuild_nb.build.recorded import Recorded
from tvixbuild_nb.display import mimebundle
from tvixbuild_nb.keeper import STREAMS
from tvixbuild_nb.request.redactor import NOTHING_SECRET, Redactor
from tvixbuild_nb.sandbox.lines import LineAssembler

_BATCH = 1024


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line: its number from 1, when its first byte came (seconds since the epoch), stream, text without end.

    ``text`` is the truth; ``str`` and ``repr`` go through ``redactor``.
    """

    number: int
    time: float
    stream: Stream
    text: str
    redactor: Redactor = field(default=NOTHING_SECRET, compare=False)

    def __str__(self) -> str:
        return self.redactor.text(self.text)

    def __repr__(self) -> str:
        return f"LogLine(number={self.number}, time={self.time}, stream={self.stream!r}, text={str(self)!r})"


class RunLog:
    """The log of one run, finished or growing; every call reads what is there by then.

    Decoded as UTF-8, what is not becomes U+FFFD. Lines longer than 64 KiB are cut into several. What code asks for
    (:meth:`bytes`, :meth:`text`, ``line.text``, :meth:`search`) is what the build wrote; where it is shown (``str``,
    ``repr``, views) the values of the sandbox's ``secrets`` are left out.
    """

    def __init__(self, record: RunRecord) -> None:
        self._record = record

    @property
    def record(self) -> RunRecord:
        """Where the run is kept on disk."""
        return self._record

    @property
    def path(self) -> str:
        """The file that holds the raw bytes."""
        return str(self._record.log_path)

    @cached_property
    def redactor(self) -> Redactor:
        """What takes the values of this run's secrets out of text that somebody will see."""
        return self._record.redactor()

    @property
    def recorded(self) -> Recorded | None:
        """When and where the run was built, of one that comes from a record."""
        result = self._record.read_result()
        return None if result is None else result.recorded

    @property
    def size(self) -> int:
        """Bytes so far."""
        with self._record.log() as log:
            return log.size()

    def bytes(self) -> builtins.bytes:
        """All of it, raw; as large as the log is."""
        with self._record.log() as log:
            return log.read(0, log.size())

    def text(self, stream: Stream | None = None) -> str:
        """All of it as text, or only one stream; as large as the log is."""
        if stream is None:
            return self.bytes().decode("utf-8", "replace")
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        parts = [decoder.decode(data) for _, which, data in self._chunks() if which == stream]
        return "".join(parts) + decoder.decode(b"", True)

    def lines(self, stream: Stream | None = None) -> Iterator[LogLine]:
        """Line by line, in bounded memory; lines of the two streams never mix within a line."""
        assembler = LineAssembler()
        began: dict[Stream, float] = {}
        number = 0
        for time, which, data in self._chunks():
            if stream is not None and which != stream:
                continue
            index = STREAMS.index(which)
            for line in assembler.feed(index, data)[0]:
                number += 1
                yield LogLine(number, began.pop(which, time), which, _decode(line), self.redactor)
            if index in assembler.rest:
                began.setdefault(which, time)
        for index, rest in assembler.rest.items():
            number += 1
            yield LogLine(number, began[STREAMS[index]], STREAMS[index], _decode(rest), self.redactor)

    def tail(self, count: int = 20) -> list[LogLine]:
        """The last ``count`` lines."""
        return list(deque(self.lines(), maxlen=count))

    def search(self, pattern: str | re.Pattern[str], *, ignore_case: bool = False) -> list[LogLine]:
        """The lines that contain ``pattern``: a plain text, or a compiled regular expression."""
        if isinstance(pattern, str):
            pattern = re.compile(re.escape(pattern), re.IGNORECASE if ignore_case else 0)
        return [line for line in self.lines() if pattern.search(line.text)]

    def _chunks(self) -> Iterator[tuple[float, Stream, builtins.bytes]]:
        with self._record.log() as log:
            while True:
                records = list(log.records(_BATCH))
                for time, stream, offset, length in records:
                    yield time, STREAMS[stream], log.read(offset, length)
                if len(records) < _BATCH:
                    return

    def __str__(self) -> str:
        return self.redactor.text(self.text())

    def __repr__(self) -> str:
        marked = "" if self.recorded is None else f", {self.recorded}"
        return f"<RunLog of {self._record.id}: {self.size} bytes{marked}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, object]:
        return mimebundle(self)


def _decode(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", "replace")
