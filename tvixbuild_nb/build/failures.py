"""Known failures found in a text: a log, or the words of an error."""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

from tvixbuild_nb.build.known import FAILURES, Failure, Stage

_MOST_CAUSES = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """A known text that was found: the ``line`` as it stands, its zero-based number, cause and cures spelled out.

    ``elsewhere`` is what to do where there is neither a Sandbox nor a Run."""

    failure: Failure
    line: str
    line_number: int
    cause: str
    cure: str
    elsewhere: str

    @property
    def stage(self) -> Stage:
        return self.failure.stage

    def __str__(self) -> str:
        return f"{self.line.strip()}\n  cause: {self.cause}\n  cure: {self.cure}"


def explain_text(text: str) -> list[Finding]:
    """The known failures in ``text`` (a log or an error message), by line: each cause once, where it stands last.

    Of one failure the last three causes (a tool, a header that is missing). What is only the symptom of another
    finding comes last. An empty list means: nothing known.
    """
    lines = text.split("\n")
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    by_line: dict[int, Finding] = {}
    for failure in FAILURES:
        last: dict[str, tuple[re.Match[str], str]] = {}
        for match in _compiled(failure.pattern).finditer(text):
            cause = _fill(failure.cause, match)
            last.pop(cause, None)
            last[cause] = (match, cause)
        for match, cause in list(last.values())[-_MOST_CAUSES:]:
            number = bisect.bisect_right(starts, match.start()) - 1
            # Where two patterns match one line, the table has the more exact one first.
            cures = (_fill(cure, match) for cure in (failure.cure, failure.elsewhere or failure.cure))
            by_line.setdefault(number, Finding(failure, lines[number], number, cause, *cures))
    return sorted(by_line.values(), key=lambda finding: (finding.failure.symptom, finding.line_number))


def _fill(words: str, match: re.Match[str]) -> str:
    for name, value in match.groupdict().items():
        words = words.replace("{" + name + "}", value or "")
    return words


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
