"""How the bytes that several streams wrote become lines, one chunk after the other, in bounded memory."""

from __future__ import annotations

MAX_LINE = 1 << 16
"""Bytes; what is longer is cut into several lines."""


class LineAssembler:
    """Cuts chunks into lines, in the order in which the lines came to their ends; streams never mix within a line.

    ``rest`` holds, by stream, the line that has no end yet (never empty); oldest first.
    """

    def __init__(self) -> None:
        self.rest: dict[int, bytes] = {}

    def feed(self, stream: int, data: bytes) -> tuple[list[bytes], frozenset[int]]:
        """The lines that ``data`` brings to their end, without it, and the indices of those that were cut there."""
        rest = self.rest.get(stream, b"")
        lines = (rest + data).split(b"\n")
        rest = lines.pop()
        cut: frozenset[int] = frozenset()
        if len(rest) > MAX_LINE or any(len(line) > MAX_LINE for line in lines):
            lines, cut, rest = _cut(lines, rest)
        if lines:
            self.rest.pop(stream, None)
        if rest:
            self.rest[stream] = rest
        return lines, cut


def _cut(lines: list[bytes], rest: bytes) -> tuple[list[bytes], frozenset[int], bytes]:
    pieces: list[bytes] = []
    cut: list[int] = []
    for line in [*lines, rest]:
        while len(line) > MAX_LINE:
            cut.append(len(pieces))
            pieces.append(line[:MAX_LINE])
            line = line[MAX_LINE:]
        pieces.append(line)
    rest = pieces.pop()
    return pieces, frozenset(cut), rest
