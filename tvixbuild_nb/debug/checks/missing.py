"""Headers, libraries, modules and packages that a build looked for: whether an input has them, and where it looked."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from tvixbuild_nb.build.known.absent import ABSENT, Absent
from tvixbuild_nb.debug.checks.compilers import PART
from tvixbuild_nb.debug.explanation import Confidence, Evidence, Finding
from tvixbuild_nb.debug.facts import Facts

_MOST = 3


def missing(facts: Facts) -> Iterator[Finding]:
    """What compilers, linkers, Python and pkg-config did not find, each once."""
    if facts.view is None or facts.result.failed_at != "build":
        return
    for absent in ABSENT:
        seen = set[str]()
        for line, match in facts.lines(absent.pattern):
            own = PART.search(line.text) is not None
            if match["name"] not in seen and len(seen) < _MOST and not own:
                seen.add(match["name"])
                yield _finding(facts, absent, match["name"], line)


def _finding(facts: Facts, absent: Absent, name: str, line: Evidence) -> Finding:
    view = facts.view
    assert view is not None
    what, variable, *files = (
        text.format(name=name, lower=name.lower()) for text in (absent.what, absent.variable, *absent.files)
    )
    places = [path for path, _ in view.files if any(path.endswith(f"/{file}") for file in files)][:_MOST]
    names = dict.fromkeys((*(posixpath.basename(file) for file in files), name))
    looked = [said for said in map(view.searched, names) if said is not None]
    evidence = (
        line,
        *(Evidence("file", said) for said in looked[:_MOST]),
        *(Evidence("file", f"{place} is there") for place in places),
    )
    sure: Confidence = "possible" if _handled(facts, line) else "likely"
    if not places:
        return Finding(f"no input has {what}", evidence, facts.cures.package(files[0], variable), sure)
    used = next(file for file in files if places[0].endswith(f"/{file}"))
    directory = places[0].removesuffix(f"/{used}")
    cause = f"{what} is there, but not where it was looked for: {places[0]}"
    return Finding(cause, evidence, facts.cures.search_path(variable, directory), sure)


def _handled(facts: Facts, line: Evidence) -> bool:
    """Whether Python caught it, and something else went wrong meanwhile."""
    after = (text for number, text in facts.log if line.line is not None and line.line < number <= line.line + 2)
    return any(text.startswith("During handling of the above exception") for text in after)
