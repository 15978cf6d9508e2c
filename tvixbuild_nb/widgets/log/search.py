"""Searching a log by regular expression, a bounded piece at a time."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import NamedTuple

from tvixbuild_nb.errors import InvalidValue
from tvixbuild_nb.widgets.log.data import Hide, plain_line
from tvixbuild_nb.widgets.log.source import LogSource

SECONDS = 0.05
_BLOCK = 500
_BYTES = 1 << 17
# A long line is searched in pieces: the time some expressions take grows with the square of the length.
_PIECE = 4096
_OVERLAP = 512
_MAX_PATTERN = 1000
_NESTED = re.compile(r"(?:[*+]|\{\d*,\d*\})[^()]*\)+\)?(?:[*+]|\{\d*,?\d*\})")


class Found(NamedTuple):
    """``number``: the line, or None; ``next``: where to go on when not ``done``; ``ranges``: what matches in it."""

    number: int | None
    next: int
    done: bool
    ranges: list[tuple[int, int]]


def compiled(pattern: str, ignore_case: bool = False) -> re.Pattern[str]:
    """The expression; :class:`InvalidValue` with the reason and place when it is none, or could take for ever."""
    if len(pattern) > _MAX_PATTERN:
        raise InvalidValue(f"longer than {_MAX_PATTERN} characters", path="search")
    try:
        expression = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    except (re.error, RecursionError, OverflowError) as error:
        raise InvalidValue(
            f"no regular expression: {error}", path="search", hint="a backslash before ( [ * + ? takes them literally"
        ) from error
    if _NESTED.search(re.sub(r"\\.|\[[^\]]*\]", "x", pattern)):
        raise InvalidValue("a repetition within a repetition can take for ever", path="search", hint="(a+)+ is a+")
    return expression


def matches(expression: re.Pattern[str], raw: bytes, hide: Hide | None) -> bool:
    """Whether the line's shown text matches, anywhere."""
    text = plain_line(raw, hide)
    if len(text) <= _PIECE:
        return expression.search(text) is not None
    return any(expression.search(text, at, at + _PIECE) for at in range(0, len(text), _PIECE - _OVERLAP))


def ranges(expression: re.Pattern[str], text: str, most: int = 100) -> list[tuple[int, int]]:
    """Where ``text``'s first characters match, at most ``most`` of them."""
    found: list[tuple[int, int]] = []
    for match in expression.finditer(text, 0, _PIECE):
        if match.end() > match.start():
            found.append(match.span())
        if len(found) >= most:
            break
    return found


def find(
    source: LogSource, expression: re.Pattern[str], start: int, *, backwards: bool = False, seconds: float = SECONDS
) -> Found:
    """The first line that matches from number ``start`` on, that one included; as far as it comes in ``seconds``."""
    deadline = time.monotonic() + seconds
    at = max(1, min(start, source.total))
    while 1 <= at <= source.total:
        first, lines = _block(source, at, backwards)
        if not lines:
            break
        for number, raw in _ordered(first, lines, backwards):
            if matches(expression, raw, source.hide):
                return Found(number, number, True, ranges(expression, plain_line(raw, source.hide)))
            at = number - 1 if backwards else number + 1
            if time.monotonic() > deadline:
                return Found(None, at, not 1 <= at <= source.total, [])
    return Found(None, at, True, [])


def count(source: LogSource, expression: re.Pattern[str], start: int, *, seconds: float = SECONDS) -> tuple[int, int]:
    """How many lines match from number ``start`` on, and the first number not looked at, in about ``seconds``."""
    deadline = time.monotonic() + seconds
    found, at = 0, max(1, start)
    # A line without an end may still come to match: only settled ones are counted while the run goes on.
    while at <= source.settled and time.monotonic() < deadline:
        for raw in source.raw_lines(at, min(_BLOCK, source.settled + 1 - at), _BYTES):
            found += matches(expression, raw, source.hide)
            at += 1
            if time.monotonic() > deadline:
                break
    return found, at


def _block(source: LogSource, at: int, backwards: bool) -> tuple[int, list[bytes]]:
    if not backwards:
        return at, source.raw_lines(at, _BLOCK, _BYTES)
    if at > source.settled:
        return at, source.raw_lines(at, 1, _BYTES)
    size = _BLOCK
    while True:
        first = max(1, at + 1 - size)
        lines = source.raw_lines(first, at + 1 - first, _BYTES)
        # A block that was cut for its size does not reach up to where we are.
        if first + len(lines) > at or size == 1:
            return first, lines
        size = max(1, size // 4)


def _ordered(first: int, lines: list[bytes], backwards: bool) -> Iterator[tuple[int, bytes]]:
    numbered = list(enumerate(lines, first))
    return iter(reversed(numbered) if backwards else numbered)
