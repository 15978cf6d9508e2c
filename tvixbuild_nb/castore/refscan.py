"""Finding which of many byte strings (needles) occur, in one pass over data that comes in chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tvixbuild_nb.errors import InvalidValue

if TYPE_CHECKING:
    from ahocorasick_rs import BytesAhoCorasick

# Matches are listed a piece at a time, and a needle once found is not looked for again: bounds the list.
_PIECE = 64 * 1024


class Scanner:
    """Looks for ``needles`` in everything it is shown; :attr:`found` holds the indices of those seen.

    Needles may have different lengths, overlap, hold one another, and occur more than once in the list.
    Safe to be used by several threads, one :class:`Stream` each.  An empty needle is refused with
    :class:`InvalidValue`.
    """

    def __init__(self, needles: Sequence[bytes]) -> None:
        for index, needle in enumerate(needles):
            if not needle:
                raise InvalidValue("a needle must not be empty", path="needles", index=index)
        self._indices: dict[bytes, list[int]] = {}
        for index, needle in enumerate(needles):
            self._indices.setdefault(bytes(needle), []).append(index)
        self._found: set[bytes] = set()
        # What the automaton numbers and the automaton itself, swapped together.
        self._automaton: tuple[list[bytes], BytesAhoCorasick] | None = None
        self._build()

    def _build(self) -> None:
        rest = [needle for needle in self._indices if needle not in self._found]
        if not rest:
            self._automaton = None
            return
        from ahocorasick_rs import BytesAhoCorasick

        self._automaton = (rest, BytesAhoCorasick(rest))

    @property
    def any(self) -> bool:
        """Whether there is any needle to look for."""
        return bool(self._indices)

    @property
    def found(self) -> frozenset[int]:
        """Indices into the needles of those seen so far."""
        return frozenset(index for needle in list(self._found) for index in self._indices[needle])

    def scan(self, data: bytes | memoryview) -> None:
        """Look at ``data`` as a whole, with nothing before or after it."""
        automaton = self._automaton
        if automaton is None:
            return
        overlap = max(map(len, automaton[0])) - 1
        view = memoryview(data)
        for start in range(0, len(view), _PIECE):
            automaton = self._automaton
            if automaton is None:
                return
            needles, machine = automaton
            matches = machine.find_matches_as_indexes(view[start : start + _PIECE + overlap], overlapping=True)
            if matches:
                self._found.update(needles[number] for number in {match[0] for match in matches})
                self._build()

    def stream(self) -> Stream:
        """A view of one sequence of chunks."""
        return Stream(self, max(map(len, self._indices), default=1) - 1)


class Stream:
    """One file's chunks in order: needles across chunk borders are found as well."""

    __slots__ = ("_overlap", "_scanner", "_tail")

    def __init__(self, scanner: Scanner, overlap: int) -> None:
        self._scanner = scanner
        self._overlap = overlap
        self._tail = b""

    def feed(self, chunk: bytes | memoryview) -> None:
        """The next chunk, of any length."""
        if self._scanner._automaton is None:
            return
        if self._tail:
            # The border: the end of what came before and as much of this as a needle can reach into.
            self._scanner.scan(self._tail + bytes(chunk[: self._overlap]))
        self._scanner.scan(chunk)
        if self._overlap:
            kept = self._tail if len(chunk) < self._overlap else b""
            self._tail = (kept + bytes(chunk[-self._overlap :]))[-self._overlap :]
