"""What of a log can be folded away: the phases that builds announce in ``@nix`` lines, and repetitions."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import chain
from operator import eq
from typing import Any, Literal, NamedTuple

MIN_REPEAT = 5
MAX_FOLDS = 10_000
_NIX = b"@nix "
_MAX_NIX = 1 << 14


class Fold(NamedTuple):
    """Lines ``first`` to ``last`` (None: still growing) are one phase, or one line over and over."""

    kind: Literal["phase", "repeat"]
    first: int
    last: int | None
    name: str | None


class FoldFinder:
    """Finds folds as lines come; at most 10 000 are kept, ``missed`` counts the others.

    ``hide`` takes secrets out of a phase's name, before that is cut to 200 characters.
    """

    def __init__(self, hide: Callable[[str], str] = str) -> None:
        self._hide = hide
        self.closed: list[Fold] = []
        self.missed = 0
        self._phase: Fold | None = None
        self._last: bytes | None = None
        self._run = 1
        self._count = 0

    @property
    def open(self) -> list[Fold]:
        """The folds that still grow: the present phase, the present repetition."""
        found = [] if self._phase is None else [self._phase]
        if self._count - self._run + 1 >= MIN_REPEAT:
            found.append(Fold("repeat", self._run, None, None))
        return found

    def feed(self, first: int, lines: list[bytes]) -> None:
        """The next lines, of which the first has the number ``first``."""
        if not lines:
            return
        self._repeats(first, bytes(map(eq, lines, chain([self._last], lines))))
        self._last = lines[-1]
        self._count = first + len(lines) - 1
        for index, line in enumerate(lines):
            if line[:5] == _NIX:
                self._nix(first + index, line)

    def _repeats(self, first: int, same: bytes) -> None:
        at = 0
        while at >= 0:
            if same[at] == 0:
                self._end_run(first + at - 1)
                again = same.find(1, at)
                self._run = first + (len(same) if again < 0 else again) - 1
                at = again
            else:
                at = same.find(0, at)

    def _end_run(self, last: int) -> None:
        if last - self._run + 1 >= MIN_REPEAT:
            self._keep(Fold("repeat", self._run, last, None))

    def _nix(self, number: int, line: bytes) -> None:
        message = nix_message(line)
        if message is None or message.get("action") != "setPhase":
            return
        if self._phase is not None:
            self._keep(self._phase._replace(last=number - 1))
        self._phase = Fold("phase", number, None, self._hide(str(message.get("phase", "")))[:200])

    def _keep(self, fold: Fold) -> None:
        if len(self.closed) < MAX_FOLDS:
            self.closed.append(fold)
        else:
            self.missed += 1


def nix_message(line: bytes) -> dict[str, Any] | None:
    """What an ``@nix { ... }`` line says, or None when it is none."""
    if not line.startswith(_NIX) or len(line) > _MAX_NIX:
        return None
    try:
        message = json.loads(line[len(_NIX) :])
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None
