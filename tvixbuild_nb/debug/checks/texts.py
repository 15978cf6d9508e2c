"""What is known about the texts at the end of a log and in the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tvixbuild_nb.build.failures import explain_text
from tvixbuild_nb.build.known import words
from tvixbuild_nb.build.known.absent import ABSENT
from tvixbuild_nb.debug.explanation import Confidence, Evidence, Finding
from tvixbuild_nb.debug.facts import Facts
from tvixbuild_nb.debug.following import following

# What the checks of surroundings tell, with this sandbox's own paths and limits.
_SURROUNDINGS = {
    words.NO_HOME, words.NO_NETWORK, words.LOOPBACK, words.NO_CERTIFICATES, words.OWNERS, words.NO_SPACE,
    words.OPEN_FILES, words.NO_FORK,
}  # fmt: skip
# What other checks look for inside, and then know better.
_LOOKED_FOR = {words.CLOSED, *words.NO_TOOL, *(absent.pattern for absent in ABSENT)}


def without(facts: Facts) -> Iterator[Finding]:
    """What a set-up that failed had to do without, where that is known: perhaps it is why."""
    if facts.result.failed_at == "setup":
        for known in explain_text("\n".join(facts.result.degraded)):
            said = Evidence("verdict", f"without: {known.line}")
            yield Finding(known.cause, (said,), facts.cures.known(known.cure, known.elsewhere), "possible")


def texts(facts: Facts) -> Iterator[Finding]:
    """The known failures of the stage in which the run failed; a runtime's own words are surer than a build's."""
    failed_at = facts.result.failed_at
    # The verdict has the runtime's last words, which may only follow from the ones before. The log is last: a cause is
    # told where it stands last, and there it can be looked at.
    lines = [Evidence("file", text) for text in facts.runtime if failed_at == "setup"]
    lines += [Evidence("verdict", text) for text in (facts.result.message or "").split("\n")]
    lines += [Evidence("log", text, number) for number, text in facts.log]
    raw = [one.text for one in lines]
    lines = [replace(one, text=one.text.strip()) for one in lines]
    for known in explain_text("\n".join(raw)):
        # A build may run another runtime, but then its set-up is not this build's.
        # And between set-up and exec only the runtime knows the border.
        also = {"build": ("exec", "output"), "setup": ("exec",)}.get(failed_at or "", ())
        fits = known.stage == failed_at or known.stage in also
        if not fits:
            continue
        pattern = known.failure.pattern
        if pattern == words.KILLED and facts.counted:
            # Counted is better than guessed: lack of memory has been told of, or it was something else.
            continue
        if pattern in _SURROUNDINGS or (pattern in _LOOKED_FOR and facts.view is not None):
            continue
        sure: Confidence = "certain" if known.stage == failed_at == "setup" else "likely"
        evidence = [lines[known.line_number], *(lines[at] for at in following(raw, known.line_number))]
        cure = facts.cures.known(known.cure, known.elsewhere)
        yield Finding(known.cause, tuple(evidence), cure, "possible" if known.failure.symptom else sure)
