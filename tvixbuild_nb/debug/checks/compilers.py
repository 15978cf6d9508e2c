"""A compiler of which only the driver came along: its own programs, headers and start files are elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tvixbuild_nb.debug.explanation import Evidence, Finding
from tvixbuild_nb.debug.facts import Facts

# gcc's words, its linker's, and its preprocessor's for headers that are the compiler's own or the C library's first.
PART = re.compile(
    r"error: cannot execute ['‘\"](?P<program>[^'’\"/]+)['’\"]"
    r"|collect2: (?:fatal )?error: cannot find ['‘\"](?P<linker>[^'’\"]+)['’\"]"
    r"|\bld: cannot find (?P<start>(?:[SMgr]*crt[1in]|crt(?:begin|end)[ST]?)\.o|-lgcc(?:_s|_eh)?)\b"
    r"|fatal error: (?P<header>std(?:arg|bool|def)\.h|float\.h|limits\.h): No such file or directory"
    r"|(?P<paths>no include path) in which to search for "
)


def compilers(facts: Facts) -> Iterator[Finding]:
    """What a compiler lacked of itself, once."""
    if facts.view is None or facts.result.failed_at != "build":
        return
    found = facts.lines(PART)
    if not found:
        return
    lines = [line for line, _ in found[:3]]
    names = dict.fromkeys(next(filter(None, match.groups())) for _, match in found[:3])
    looked = [said for name in names if (said := facts.view.searched(name)) is not None]
    yield Finding(
        f"a compiler is more than its driver, and parts of it are not inside: {', '.join(names)}",
        (*lines, *(Evidence("file", said) for said in looked)),
        facts.cures.toolchain(),
        "likely",
    )
