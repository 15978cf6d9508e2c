"""Lines that belong to one that ends in a colon: the paths, hashes and names of a verdict of several lines."""

from __future__ import annotations

from collections.abc import Sequence

_MOST = 6


def following(texts: Sequence[str], at: int) -> range:
    """Where the lines stand that the line ``at`` announces: those below it that are further to the right, at most six.

    ``texts`` are lines with what they begin with, before they were stripped.
    """
    first = at + 1
    if not texts[at].rstrip().endswith(":"):
        return range(first, first)
    end = first
    while end < min(len(texts), first + _MOST) and _indent(texts[end]) > _indent(texts[at]):
        end += 1
    return range(first, end)


def _indent(text: str) -> int:
    """How far right it begins; of an empty line not at all."""
    return len(text) - len(text.lstrip()) if text.strip() else 0
