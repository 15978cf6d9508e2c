"""What is known about the texts at the end of a log and in the verdict."""

from __future__ import annotations

from collections.abc import Iterator

from tvixbuild_nb.build.failures import explain_text
from tvixbuild_nb.build.known import words
from tvixbuild_nb.debug.explanation import Confidence, Evidence, Finding
from tvixbuild_nb.debug.facts import Facts


def texts(facts: Facts) -> Iterator[Finding]:
    """The known failures of the stage in which the run failed; a runtime's own words are surer than a build's."""
    failed_at = facts.result.failed_at
    lines = [*facts.log, *((None, line) for line in (facts.result.message or "").split("\n"))]
    for known in explain_text("\n".join(text for _, text in lines)):
        # A build may run another runtime, but then its set-up is not this build's.
        fits = known.stage == failed_at or (failed_at == "build" and known.stage in ("exec", "output"))
        if not fits:
            continue
        if known.failure.pattern == words.KILLED and facts.counted:
            # Counted is better than guessed: lack of memory has been told of, or it was something else.
            continue
        number = lines[known.line_number][0]
        kind = Evidence("verdict" if number is None else "log", known.line.strip(), number)
        sure: Confidence = "certain" if failed_at == "setup" else "likely"
        yield Finding(known.cause, (kind,), known.cure, "possible" if known.failure.symptom else sure)
