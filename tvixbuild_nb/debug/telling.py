"""Lines to show of a log where the cause is not known: the last ones, and those before that speak of an error."""

from __future__ import annotations

import re
from collections.abc import Sequence

_LAST = 5
_BEFORE = 4
# Not "0 failed", nor what configure and CMake say of what they can do without.
_ERROR = re.compile(
    r"(?i)\b(?:error|fatal|traceback|panicked|failure|denied|cannot|can't|no such file)\b|(?<!\b0 )\bfailed\b|\*\*\*"
    r"|(?<!\.\.\. )(?<! - )\bnot found\b"
)


def failing(text: str) -> bool:
    """Whether the line reads like a tool's error."""
    return _ERROR.search(text) is not None


def telling(log: Sequence[tuple[int, str]]) -> list[str]:
    """The last five lines that say something, and before them at most four that read like errors, with numbers."""
    said = [(number, text.strip()) for number, text in log if text.strip()]
    before = [line for line in said[:-_LAST] if failing(line[1])][-_BEFORE:]
    return [f"log line {number}: {text}" for number, text in (*before, *said[-_LAST:])]
