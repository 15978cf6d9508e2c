"""Known failures found in a text: a log, or the words of an error."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from tvixbuild_nb.build.known import FAILURES, Failure, Stage


@dataclass(frozen=True, slots=True)
class Finding:
    """A known text that was found: the ``line`` as it stands, its zero-based number, cause and cure spelled out."""

    failure: Failure
    line: str
    line_number: int
    cause: str
    cure: str

    @property
    def stage(self) -> Stage:
        return self.failure.stage

    def __str__(self) -> str:
        return f"{self.line.strip()}\n  cause: {self.cause}\n  cure: {self.cure}"


def explain_text(text: str) -> list[Finding]:
    """The known failures in ``text`` (a log or an error message), each once, where it first appears, in order.

    What is only the symptom of another finding comes last. An empty list means: nothing known.
    """
    found = []
    for failure in FAILURES:
        match = _compiled(failure.pattern).search(text)
        if match is not None:
            start = text.rfind("\n", 0, match.start()) + 1
            end = text.find("\n", match.end())
            line = text[start : end if end >= 0 else len(text)]
            groups = {name: value or "" for name, value in match.groupdict().items()}
            cause, cure = (_fill(words, groups) for words in (failure.cause, failure.cure))
            found.append(Finding(failure, line, text.count("\n", 0, start), cause, cure))
    # Where two patterns match one line, the table has the more exact one first.
    by_line: dict[int, Finding] = {}
    for finding in found:
        by_line.setdefault(finding.line_number, finding)
    return sorted(by_line.values(), key=lambda finding: (finding.failure.symptom, finding.line_number))


def _fill(words: str, groups: dict[str, str]) -> str:
    for name, value in groups.items():
        words = words.replace("{" + name + "}", value)
    return words


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
