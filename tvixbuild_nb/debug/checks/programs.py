"""Programs that could not be started: looked at where the sandbox has them, down to loader and libraries."""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Iterator

from tvixbuild_nb.debug.checks.executable import elsewhere, examine
from tvixbuild_nb.debug.explanation import Evidence, Finding
from tvixbuild_nb.debug.facts import Facts
from tvixbuild_nb.debug.inside import MountView

_REFUSED = re.compile(
    r"(?:^|[\s:'\"])(?P<program>[^\s:'\"]+)['\"]?: (?:line \d+: )?"
    r"(?P<why>(?:command )?not found|No such file or directory|[Ee]xec format error|Permission denied"
    r"|cannot execute[^:]*|bad interpreter|error while loading shared libraries)"
)
_MOST = 12


def programs(facts: Facts) -> Iterator[Finding]:
    """The command itself when it could not be executed; else the programs the log says could not be."""
    view = facts.view
    if view is None:
        return
    if facts.result.failed_at == "exec":
        yield from _asked(view, facts.request.command_args[0], facts.verdict, at_start=True)
    elif facts.result.failed_at == "build":
        seen = set[str]()
        for line, match in facts.lines(_REFUSED):
            program, why = match["program"], match["why"]
            if program in seen or len(seen) == _MOST:
                continue
            seen.add(program)
            if "not found" in why or "/" in program:
                yield from _asked(view, program, line, at_start=False, not_found="not found" in why)


def _asked(
    view: MountView, program: str, evidence: Evidence, *, at_start: bool, not_found: bool = True
) -> Iterator[Finding]:
    if "/" in program:
        finding = examine(view, program, evidence, strict=at_start)
        if finding is not None and (not_found or "is not inside" not in finding.cause):
            yield finding
        return
    if not re.fullmatch(r"[\w.+-]+", program) or program.isdigit():
        return
    path = view.request.environment_vars.get("PATH", b"").decode("utf-8", "replace")
    for directory in filter(None, path.split(":")):
        found = view.resolve(posixpath.join(directory, program))
        if found.kind == "file":
            finding = examine(view, found.path, evidence, strict=True)
            if finding is not None:
                yield finding
                return
    places = elsewhere(view, program)
    searched = Evidence("file", f"PATH is {path}" if path else "PATH is not set")
    if places:
        directory = posixpath.dirname(places[0])
        yield Finding(
            f"{program} is in no directory of PATH, but there is {places[0]}",
            (evidence, searched, *(Evidence("file", f"{place} is there") for place in places)),
            f'sb.env["PATH"] = "{directory}{":" + path if path else ""}"',
            "certain",
        )
        return
    names = {name: directory for directory in path.split(":") if directory for name in view.names(directory)}
    near = _near(program, names)
    yield Finding(
        f"{program} is neither in PATH nor in an input",
        (evidence, searched, *(Evidence("file", f"{names[name]}/{name} is there") for name in near)),
        f'sb.add_host_program("{program}")  # needs inputs_dir=""; or sb.add_input("tools", ...) and sb.env["PATH"]',
        "likely",
    )


def _near(name: str, names: dict[str, str]) -> list[str]:
    return difflib.get_close_matches(name, names, n=3, cutoff=0.6)
