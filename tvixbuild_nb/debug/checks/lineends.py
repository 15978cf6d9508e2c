"""Commands whose lines end in CR LF, as editors on Windows write them: to a shell the CR belongs to the last word."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tvixbuild_nb.debug.checks.scripts import scripts
from tvixbuild_nb.debug.explanation import Evidence, Finding
from tvixbuild_nb.debug.facts import Facts

_ENDS = re.compile(r"\r(?:\n|$)")
# What shells say of words that end in CR, or are nothing else; some show it, some do not.
_SAID = re.compile(
    r"\r|\^M|\\r|illegal option -|invalid option|syntax error|[Ii]llegal number|numeric argument required"
    r"|bad variable name|not a valid identifier"
)
_LAST = 5


def line_ends(facts: Facts) -> Iterator[Finding]:
    """That the text of a command that failed has such ends; sure where what was said shows it."""
    if facts.result.failed_at != "build":
        return
    found = carriage_returns(facts)
    if found is None:
        return
    evidence, files = found
    said = [Evidence("log", text.strip(), number) for number, text in facts.log[-_LAST:] if _SAID.search(text)]
    cause = "the command's lines end in CR LF, so that each line's last word ends in CR"
    yield Finding(cause, (*said, evidence), facts.cures.line_ends(files), "certain" if said else "possible")


def carriage_returns(facts: Facts) -> tuple[Evidence, tuple[str, ...]] | None:
    """That lines of the command end in CR LF, and the files inside among its texts that have them; None when none."""
    found = [(text, count) for text in scripts(facts) if (count := len(_ENDS.findall(text.contents)))]
    if not found:
        return None
    told = ", ".join(f"{count} of {text.path or 'its own text'}" for text, count in found)
    return (
        Evidence("file", f"lines of the command that end in CR LF: {told}"),
        tuple(text.path for text, _ in found if text.path is not None),
    )
