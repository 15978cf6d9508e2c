"""Outputs that were made and then refused: where in them stands what must not be there."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tvixbuild_nb.debug.explanation import Evidence, Finding
from tvixbuild_nb.debug.facts import Facts
from tvixbuild_nb.debug.why import why
from tvixbuild_nb.request import Redactor

_REFUSED = re.compile(r"^output '[^']*' is not allowed to refer to the following paths:$")
_PATH = re.compile(r"^\s+\S*/([0-9abcdfghijklmnpqrsvwxyz]{32})-\S+$")
# Places told of each reference: one is enough to look at, a few show a pattern.
_MOST = 3


def rejected(facts: Facts) -> Iterator[Finding]:
    """References that the derivation does not allow, each with the files and offsets where it stands."""
    result = facts.result
    lines = (result.message or "").split("\n")
    start = next((number for number, line in enumerate(lines) if _REFUSED.match(line)), None)
    if start is None or facts.castore is None or not result.rejected:
        return
    outputs = {output.path: output.node for output in result.rejected}
    for line in lines[start + 1 :]:
        path = _PATH.match(line)
        if path is None:
            continue
        places = why(facts.castore, outputs, path[1].encode(), Redactor())
        shown = [Evidence("file", str(place)) for place in places.references[:_MOST]]
        indirect = "it is reached through another reference" if not shown else f"it stands in {len(places)} places"
        yield Finding(
            f"the output refers to {line.strip()}, which it must not",
            (Evidence("verdict", lines[start]), Evidence("verdict", line.strip()), *shown),
            f"run.why({path[1]!r}).references  # all of them: {indirect}; remove them at the end of the build",
            "certain",
        )
