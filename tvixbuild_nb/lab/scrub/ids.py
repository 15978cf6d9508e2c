"""Subordinate ids: every host has others free, so they are shown as if its range began at 100000."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from tvixbuild_nb.lab.scrub.marked import marked_in

# Nobody's range begins below it, and no ordinary number of a notebook's is taken for an id because of it.
LEAST = 100_000
SIZE = 65_536

_SHOWN = (
    re.compile(r"\b(?:hostID|host_id)\"?[:=] ?(\d{6,10})\b"),
    # A line of /proc/PID/uid_map.
    re.compile(r"^\s*\d+\s+(\d{6,10})\s+\d+\s*$", re.MULTILINE),
    # The arrows of isolation() and deviations(), and owners of what is mounted.
    re.compile(r"(?:->|-&gt;|⟶)\s+(\d{6,10})\b"),
    re.compile(r"\bowner (\d{6,10}):"),
    re.compile(r"\bowner \d+:(\d{6,10})\b"),
)
_MARKED = "subid"
_NUMBER = re.compile(r"\b\d{6,10}\b")


def ids_in(text: str) -> set[int]:
    """The subordinate ids that ``text`` shows as such."""
    found = {int(number) for pattern in _SHOWN for number in pattern.findall(text)}
    for mark in marked_in(text):
        if mark.kind == _MARKED:
            found.update(map(int, _NUMBER.findall(text[mark.inner : mark.inner_end])))
    return {number for number in found if number >= LEAST}


def renamed(ids: Iterable[int]) -> dict[str, str]:
    """Digits of an id -> digits that are shown in their stead: the first range begins at 100000, the next at 200000."""
    shown: dict[str, str] = {}
    base = -SIZE
    ranges = 0
    for number in sorted(set(ids)):
        if number - base >= SIZE:
            base = number
            ranges += 1
        shown[str(number)] = str(ranges * LEAST + number - base)
    return {old: new for old, new in shown.items() if old != new}


def rename(text: str, names: Mapping[str, str]) -> str:
    """``text`` with these ids renamed wherever they stand as whole numbers."""
    if not names:
        return text
    pattern = re.compile(rf"(?<![\w.])(?:{'|'.join(map(re.escape, names))})(?![\w.]\d)\b")
    return pattern.sub(lambda match: names[match[0]], text)
