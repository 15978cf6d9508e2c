"""Searching a log by regular expression, a bounded piece at a time, by an engine whose time is linear (RE2).

``(a+)+$`` would hold a backtracking engine, and with it the kernel, for ever. Its price: no look-around, no references
back, and an expression whose repetitions multiply to a very large one is refused.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tvixbuild_nb.errors import InvalidValue
from tvixbuild_nb.widgets.log.shown import plain_lines
from tvixbuild_nb.widgets.log.source import LogSource

SECONDS = 0.05
_BLOCK = 500
_BYTES = 1 << 17
# At its worst the engine takes some 10 ns for each byte and each of the expression's steps: so many of both a call.
_WORK = 5_000_000
_MAX_STEPS = 2000
_LEAST = 4096
_OVERLAP = 512
_MAX_PATTERN = 1000
_MARKED = 4096


class Found(NamedTuple):
    """``number``: the line, or None; ``next``: where to go on when not ``done``; ``ranges``: what matches in it.

    Ranges are in UTF-16 units of the line as it is shown, as JavaScript counts.
    """

    number: int | None
    next: int
    done: bool
    ranges: list[tuple[int, int]]


class Expression(NamedTuple):
    """A compiled expression, and how many bytes it may be given at a time."""

    engine: Any
    piece: int


def compiled(pattern: str, ignore_case: bool = False) -> Expression:
    """The expression; :class:`InvalidValue` with the reason when it is none, or too large to be quick."""
    try:
        import re2
    except ImportError as error:
        hint = "pip install 'tvixbuild-nb[notebook]'"
        raise InvalidValue("searching needs the package google-re2", path="search", hint=hint) from error
    if len(pattern) > _MAX_PATTERN:
        raise InvalidValue(f"longer than {_MAX_PATTERN} characters", path="search")
    options = re2.Options()
    options.never_nl = True  # a match never goes over the end of a line
    options.log_errors = False
    options.case_sensitive = not ignore_case
    try:
        engine = re2.compile(f"(?m){pattern}".encode("utf-8", "replace"), options)
    except re2.error as error:
        said = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        raise InvalidValue(
            f"no regular expression: {said.replace('(?m)', '')}", path="search", hint=_hint(said)
        ) from error
    if engine.programsize > _MAX_STEPS:
        raise InvalidValue(
            "too large an expression: its repetitions multiply", path="search", hint="smaller numbers in {braces}"
        )
    return Expression(engine, max(_LEAST, min(_BYTES, _WORK // engine.programsize)))


def _hint(said: str) -> str:
    if "perl operator" in said or "escape sequence" in said:
        return "look-around (?=...) and references such as \\1 are not to be had: the search takes linear time"
    return "a backslash before ( [ * + ? takes them literally"


def matching(expression: Expression, texts: Sequence[str]) -> list[int]:
    """The indices of the texts that match, anywhere."""
    found: list[int] = []
    if len(texts) == 1:
        data = texts[0].encode()
        starts = range(0, max(1, len(data) - _OVERLAP), expression.piece - _OVERLAP)
        windows = ((start, min(start + expression.piece, len(data))) for start in starts)
        return [0] if any(expression.engine.search(data, start, end) for start, end in windows) else []
    data = "\n".join(texts).encode()
    at = index = 0
    while at <= len(data) and (match := expression.engine.search(data, at)) is not None:
        index += data.count(b"\n", at, match.start())
        found.append(index)
        index, at = index + 1, data.find(b"\n", match.start()) + 1
        if at == 0:
            break
    return found


def ranges(expression: Expression, text: str, most: int = 100) -> list[tuple[int, int]]:
    """Where ``text``'s first characters match, at most ``most`` of them; see :class:`Found`."""
    data = text[:_MARKED].encode()
    found: list[tuple[int, int]] = []
    for match in expression.engine.finditer(data, 0, min(len(data), expression.piece)):
        if match.end() > match.start():
            found.append((_units(data[: match.start()]), _units(data[: match.end()])))
        if len(found) >= most:
            break
    return found


def _units(data: bytes) -> int:
    return len(data.decode("utf-8", "replace").encode("utf-16-le")) // 2


def find(
    source: LogSource, expression: Expression, start: int, *, backwards: bool = False, seconds: float = SECONDS
) -> Found:
    """The first line that matches from number ``start`` on, that one included; as far as it comes in ``seconds``."""
    deadline = time.monotonic() + seconds
    at = max(1, min(start, source.total))
    while 1 <= at <= source.total:
        first, texts = _block(source, at, backwards)
        if not texts:
            break
        for begin, end in _groups(expression, texts, backwards):
            hits = matching(expression, texts[begin:end])
            if hits:
                index = begin + hits[-1 if backwards else 0]
                return Found(first + index, first + index, True, ranges(expression, texts[index]))
            at = first + begin - 1 if backwards else first + end
            if time.monotonic() > deadline:
                return Found(None, at, not 1 <= at <= source.total, [])
    return Found(None, at, True, [])


def count(source: LogSource, expression: Expression, start: int, *, seconds: float = SECONDS) -> tuple[int, int]:
    """How many lines match from number ``start`` on, and the first number not looked at, in about ``seconds``."""
    deadline = time.monotonic() + seconds
    found, at = 0, max(1, start)
    # A line without an end may still come to match: only settled ones are counted while the run goes on.
    while at <= source.settled and time.monotonic() < deadline:
        first, texts = at, _texts(source, at, min(_BLOCK, source.settled + 1 - at))
        for begin, end in _groups(expression, texts, False):
            found += len(matching(expression, texts[begin:end]))
            at = first + end
            if time.monotonic() > deadline:
                break
    return found, at


def _texts(source: LogSource, first: int, count: int) -> list[str]:
    return plain_lines(source, source.lines(first, count, _BYTES, times=False))


def _block(source: LogSource, at: int, backwards: bool) -> tuple[int, list[str]]:
    """Texts of lines that begin, or backwards end, with number ``at``, and the number of the first."""
    if not backwards:
        return at, _texts(source, at, _BLOCK)
    size = _BLOCK
    while True:
        first = max(1, at + 1 - size)
        lines = source.lines(first, at + 1 - first, _BYTES, times=False)
        # A block that was cut for its size does not reach up to where we are.
        if first + len(lines) > at or size == 1:
            return first, plain_lines(source, lines)
        size = max(1, size // 4)


def _groups(expression: Expression, texts: list[str], backwards: bool) -> Iterator[tuple[int, int]]:
    """Ranges of texts that the expression may be given at once; a text that is too long for it stands alone."""
    groups: list[tuple[int, int]] = []
    begin = size = 0
    for index, text in enumerate(texts):
        wide = 4 * len(text) + 1 if not text.isascii() else len(text) + 1
        if index > begin and size + wide > expression.piece:
            groups.append((begin, index))
            begin, size = index, 0
        size += wide
    groups.append((begin, len(texts)))
    return reversed(groups) if backwards else iter(groups)
