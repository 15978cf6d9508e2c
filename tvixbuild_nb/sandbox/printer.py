"""The live log of a run in a terminal or under a notebook's cell: safe to look at, bounded."""

from __future__ import annotations

import codecs
import os
import re
import sys
from typing import TextIO

from tvixbuild_nb.build.record import RunRecord
from tvixbuild_nb.display import in_kernel
from tvixbuild_nb.request import Redactor

HEAD = 512 * 1024
TAIL = 16 * 1024
_READ = 256 * 1024

# Colours may pass; whatever else a build sends could move the cursor, retitle the window or hide text.
_COLOUR = r"\x1b\[[0-9;:]*m"
CONTROL_SEQUENCE = r"\x1b\[[0-?]*[ -/]*[@-~]"
# A terminal gives one up at the next escape; one without an end must not take the lines below with it.
STRING_SEQUENCE = r"\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"
OTHER_SEQUENCE = r"\x1b[ -/]*[0-~]?"
_CHARACTERS = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
_ESCAPES = re.compile(
    f"{_COLOUR}|(?P<drop>{CONTROL_SEQUENCE}|{STRING_SEQUENCE}|{OTHER_SEQUENCE}|{_CHARACTERS})", re.DOTALL
)


def harmless(text: str, *, colours: bool = True) -> str:
    """``text`` without control characters and escapes; newline, tab, return and, if asked for, colours stay."""
    return _ESCAPES.sub(lambda match: "" if match["drop"] or not colours else match[0], text)


def default_output() -> TextIO:
    """Where a live log goes: under the cell in a notebook, else standard error."""
    return sys.stdout if in_kernel() else sys.stderr


class SafeText:
    """Bytes of a build, however they are cut, as text for ``output``: harmless, and without the values of secrets.

    Colours pass where they show: in a terminal, unless NO_COLOR is set, and under a notebook's cell.
    """

    def __init__(self, output: TextIO, redactor: Redactor) -> None:
        self._colours = in_kernel() or (output.isatty() and not os.environ.get("NO_COLOR"))
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._hidden = redactor.stream()

    def feed(self, data: bytes) -> str:
        """What of it can be shown whatever comes next."""
        # Hidden last: what would be dropped must not part a secret in two.
        return self._hidden.feed(self._harmless(data, False))

    def finish(self) -> str:
        """The rest."""
        return self._hidden.feed(self._harmless(b"", True)) + self._hidden.finish()

    def skip(self) -> None:
        """What comes next does not follow what came before."""
        self._decoder.reset()
        self._hidden.skip()

    def _harmless(self, data: bytes, final: bool) -> str:
        return harmless(self._decoder.decode(data, final), colours=self._colours)


class LogPrinter:
    """Copies a growing log to ``output``; where it cannot keep up or there is too much, it says what it left out.

    The first 512 KiB are shown, or everything as long as it keeps up when ``output`` is a terminal; then the
    last 16 KiB. ``run.log`` has all of it.
    """

    def __init__(self, record: RunRecord, output: TextIO) -> None:
        self._log = record.log()
        self._output = output
        self._position = 0
        self._budget = None if output.isatty() else HEAD
        self._text = SafeText(output, record.redactor())

    def show(self) -> None:
        """Print what came since the last call."""
        size = self._log.size()
        if self._budget is None and size - self._position > 4 * HEAD:
            self._skip_to(size - HEAD)
        while self._position < size and (self._budget is None or self._budget > 0):
            length = min(_READ, size - self._position, self._budget or _READ)
            self._print(length)
            if self._budget is not None:
                self._budget -= length
        self._output.flush()

    def finish(self) -> None:
        """Print the rest, at most the tail of it, and close."""
        self.show()
        size = self._log.size()
        if size - self._position > TAIL:
            self._skip_to(size - TAIL)
        self._print(size - self._position)
        self._output.write(self._text.finish())
        self._output.flush()
        self._log.close()

    def _print(self, length: int) -> None:
        data = self._log.read(self._position, length)
        self._position += len(data)
        self._output.write(self._text.feed(data))

    def _skip_to(self, position: int) -> None:
        self._output.write(f"\n[... {position - self._position} bytes not shown here, run.log has them ...]\n")
        self._text.skip()
        self._position = position
