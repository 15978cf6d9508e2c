"""A rule: one kind of text that is another every time, and what stands in its place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

NUMBER = "#"


class Numbers:
    """Numbers for things of a kind, from 1 on in the order in which a notebook shows them; one for each thing."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, int]] = {}

    def of(self, kind: str, thing: str) -> int:
        known = self._known.setdefault(kind, {})
        return known.setdefault(thing, len(known) + 1)


@dataclass(frozen=True, slots=True)
class Rule:
    """``pattern`` finds it in text; ``replacement`` is a template as of :func:`re.sub`.

    A ``#`` in the replacement is the number of what the group ``what`` matched (without such a group: of the whole), so
    that the first run of a notebook is ``run-1`` wherever it is mentioned. ``kind``: what is counted together, the
    rule's ``name`` unless given. ``why`` is the reason for whoever wonders.
    """

    name: str
    pattern: re.Pattern[str]
    replacement: str
    why: str
    kind: str = ""
    _counts: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_counts", NUMBER in self.replacement)

    def apply(self, text: str, numbers: Numbers) -> str:
        """``text`` with every match replaced."""
        if not self._counts:
            return self.pattern.sub(self.replacement, text)
        return self.pattern.sub(lambda match: self._numbered(match, numbers), text)

    def _numbered(self, match: re.Match[str], numbers: Numbers) -> str:
        what = match["what"] if "what" in self.pattern.groupindex else match[0]
        return match.expand(self.replacement).replace(NUMBER, str(numbers.of(self.kind or self.name, what)))


@dataclass(frozen=True, slots=True)
class Mark:
    """What a view marks as volatile, ``data-volatile="name"``, and the text that stands in its place.

    ``replacement`` None: the element goes altogether, since another time it may not be there; empty: its text stays,
    something else looks after it. A ``#`` is a number as in :class:`Rule`.
    """

    name: str
    replacement: str | None
    why: str

    def text(self, marked: str, numbers: Numbers) -> str:
        """What stands in the place of the text ``marked``; nothing for an element that goes."""
        if self.replacement is None:
            return ""
        if not self.replacement or self._is_numbered(marked):
            return marked
        if NUMBER not in self.replacement:
            return self.replacement
        return self.replacement.replace(NUMBER, str(numbers.of(self.name, marked)))

    def _is_numbered(self, text: str) -> bool:
        before, counts, after = (self.replacement or "").partition(NUMBER)
        return bool(counts) and re.fullmatch(rf"{re.escape(before)}\d+{re.escape(after)}", text) is not None


def apply_all(rules: Sequence[Rule], text: str, numbers: Numbers) -> str:
    """``text`` after every rule, in their order, until none of them finds anything more."""
    while True:
        before = text
        for rule in rules:
            text = rule.apply(text, numbers)
        # What took a word's place may be none, and then another word begins beside it.
        if text == before:
            return text
