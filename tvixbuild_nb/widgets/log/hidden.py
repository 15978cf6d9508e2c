"""Values of secrets in a log, found also where they go over the ends of lines.

The lines of one stream are looked at as one text, without their ends and without escape sequences: a value that has
lines of its own, that was folded to a width, or that was cut with a line longer than 64 KiB, is still found.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from tvixbuild_nb.request.redactor import SHORTEST, Redactor, label
from tvixbuild_nb.widgets.log.ansi import Piece
from tvixbuild_nb.widgets.log.sgr import PLAIN

_NIX = b"@nix "
_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[ -/]*[0-~]?)")
# Bytes: room in the surroundings of a line for escape sequences and line ends within a value.
_SPARE = 1024


class Veil(NamedTuple):
    """What is hidden of one line: from, to, name of the variable; from ``held`` on, what may begin a value."""

    places: list[tuple[int, int, str]]
    held: int | None


def margin(redactor: Redactor) -> int:
    """How many bytes before and behind a line have to be looked at."""
    return 4 * redactor.longest + _SPARE


def may_hold(redactor: Redactor, region: bytes) -> bool:
    """Whether these bytes of a stream can hold a value at all; quick, for searches that see every line."""
    if _NIX in region or b"\r" in region.replace(b"\r\n", b""):
        return True  # What is shown of these lines is not what stands there.
    text = _ESCAPES.sub(b"", region) if b"\x1b" in region else region
    squeezed = text.replace(b"\r\n", b"").replace(b"\n", b"")
    return redactor.found_in(squeezed.decode("utf-8", "replace"))


def veils(
    redactor: Redactor, before: Sequence[str], lines: Sequence[str], after: Sequence[str], *, more: bool
) -> list[Veil]:
    """What has to be hidden of ``lines``, which follow each other in a stream; ``before`` and ``after`` surround them.

    All are texts as they are shown. With ``more`` the stream goes on behind ``after``: what stands at its end and may
    be the beginning of a value is held back.
    """
    text = "".join([*before, *lines, *after])
    places = redactor.places(text)
    end = redactor.settled(text, places) if more else len(text)
    if len(text) - end < SHORTEST:
        end = len(text)
    found = []
    at = sum(map(len, before))
    for line in lines:
        cut = [
            (max(start - at, 0), min(stop - at, len(line)), name)
            for start, stop, name in places
            if start < at + len(line) and stop > at
        ]
        found.append(Veil(cut, max(0, end - at) if at + len(line) > end else None))
        at += len(line)
    return found


def veiled(found: list[Piece], veil: Veil) -> list[Piece]:
    """A line's pieces with labels where values are, as far as it may be shown."""
    length = sum(len(text) for text, _ in found)
    end = length if veil.held is None else veil.held
    shown: list[Piece] = []
    at = 0
    for start, stop, name in veil.places:
        if start >= end:
            break
        shown += [*_part(found, at, start), (label(name), PLAIN)]
        at = stop
    return [*shown, *_part(found, at, end)]


def _part(found: list[Piece], start: int, end: int) -> list[Piece]:
    parts: list[Piece] = []
    at = 0
    for text, style in found:
        part = text[max(0, start - at) : max(0, end - at)]
        if part:
            parts.append((part, style))
        at += len(text)
    return parts
