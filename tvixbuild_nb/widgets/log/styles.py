"""The style that each line of a log begins in: what a colour set stays set until it is taken back, as in a terminal.

Each stream has a style of its own, since the view tells them apart: what a program leaves set on standard error does
not colour standard output. In memory are 16 bytes for every line that leaves another style behind than it found.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left

from tvixbuild_nb.keeper import STREAMS
from tvixbuild_nb.widgets.log.ansi import style_after
from tvixbuild_nb.widgets.log.sgr import PLAIN


class Styles:
    """Where styles change, found as lines come; asked for any line in any order."""

    def __init__(self) -> None:
        # By stream: the number of a line, and the style that it leaves behind.
        self._numbers = [array("Q") for _ in STREAMS]
        self._states = [array("Q") for _ in STREAMS]

    def feed(self, stream: int, first: int, lines: list[bytes]) -> None:
        """The next lines of a stream, of which the first has the number ``first``."""
        states = self._states[stream]
        style = states[-1] if states else PLAIN
        for number, line in enumerate(lines, first):
            if b"\x1b" in line and (after := style_after(line, style)) != style:
                style = after
                self._numbers[stream].append(number)
                states.append(style)

    def before(self, stream: int, number: int) -> int:
        """The style in which the stream's line ``number`` begins."""
        at = bisect_left(self._numbers[stream], number)
        return self._states[stream][at - 1] if at else PLAIN
