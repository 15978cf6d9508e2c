"""Programs that could not be started: looked at where the sandbox has them, down to loader and libraries."""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Iterator
from dataclasses import replace

from tvixbuild_nb.build.known import words
from tvixbuild_nb.debug.checks.compilers import PART
from tvixbuild_nb.debug.checks.executable import examine
from tvixbuild_nb.debug.checks.lacking import lacking
from tvixbuild_nb.debug.checks.places import elsewhere
from tvixbuild_nb.debug.cures import Cures, scratch
from tvixbuild_nb.debug.explanation import Evidence, Finding
from tvixbuild_nb.debug.facts import Facts
from tvixbuild_nb.debug.inside import MountView
from tvixbuild_nb.debug.telling import failing

_REFUSED = re.compile(
    r"(?:^|[\s:'\"‘])(?P<program>[^\s:'\"‘’]+)['\"’]?: (?:line \d+: |[Cc]annot (?:open|stat): )?"
    r"(?P<why>(?:command |inaccessible or )?not found|No such file or directory|[Ee]xec format error|Permission denied"
    r"|cannot execute[^:]*|bad interpreter|error while loading shared libraries|Command not found)"
)
# The other way round: zsh, fish, and musl's loader.
_REVERSED = re.compile(
    r"(?P<why>command not found|Unknown command|exec format error|bad interpreter): (?P<program>[^\s:]+)"
    r"|Error (?:loading shared library \S+: No such file or directory \(needed by|relocating) (?P<loaded>[^\s:)]+)"
)
# Data that is not there, in the words of Python and Node.
_DATA = re.compile(r"[Nn]o such file or directory[:,] (?:\w+ )?['\"](?P<program>/[^'\"]+)['\"]")
# Of a file that was to be read or written, relative to the directory where the build is then.
_OPENED = "not to be opened"
# How bash says of a command what others say of a file.
_BY_SHELL = re.compile(r"(?:^|/)\w*sh: line \d+: |^\S+: line \d+: ")
_MOST = 12
# At the end of a log stands what a build failed of.
_LAST = 3
# What follows only from the line before.
_AFTERWARDS = re.compile(r"(?i)not recoverable|exiting|terminated|\*\*\* |^\S+: error \d+$")
# The line above it, where Python's subprocess module could not execute a program.
_CHILD = "child_exception_type"
_CHILD_MISSING = re.compile(r"FileNotFoundError: .*: '(?P<program>[^'/]+)'$")


def programs(facts: Facts) -> Iterator[Finding]:
    """The command itself when it could not be executed; else the programs the log says could not be."""
    view = facts.view
    if view is None:
        return
    if facts.result.failed_at == "exec":
        yield from _asked(view, facts.cures, facts.request.command_args[0], facts.verdict, at_start=True)
    elif facts.result.failed_at == "build":
        seen = set[str]()
        said = [line for line, _ in facts.lines(r"\S")[: 2 * _LAST]]
        ending = [line for line in said if not _AFTERWARDS.search(line.text)][:_LAST]
        for line, program, why in _named(facts):
            if program in seen or len(seen) == _MOST:
                continue
            seen.add(program)
            if why != _OPENED and _meant_as_program(facts, line, why):
                strict = "annot execute" in why or "format error" in why or why == "Permission denied"
                for finding in _asked(view, facts.cures, program, line, at_start=strict):
                    yield finding if "/" in program or _final(facts, line) else replace(finding, confidence="possible")
            elif "/" in program and why not in ("No such file or directory", _OPENED):
                yield from _asked(view, facts.cures, program, line, at_start=False, not_found=False)
            elif (program.startswith("/") or why == _OPENED) and line in ending:
                yield from lacking(view, facts.cures, program, line, sure=line == ending[0])


def _final(facts: Facts, line: Evidence) -> bool:
    """Whether the build ended for the program it did not find, and did not go on without it."""
    after = [text for number, text in facts.log if line.line is not None and number > line.line and text.strip()]
    if facts.result.exit_code == 127 or any(re.search(r"\b127\b", text) for text in after):
        return True
    return len(after) < _LAST and not any(failing(text) and not _AFTERWARDS.search(text) for text in after)


def _meant_as_program(facts: Facts, line: Evidence, why: str) -> bool:
    """Whether what the line names was to be executed, and is no file that was to be read."""
    if why in ("No such file or directory", "Permission denied"):
        # Shells end so when they could not find, or not execute, something.
        code = facts.result.exit_code
        said = code in (126, 127) and _BY_SHELL.search(line.text) is not None
        return (why == "Permission denied" and code == 126) or (said and why != "Permission denied")
    return why != "loading" and "loading shared" not in why and "bad interpreter" not in why


def _named(facts: Facts) -> Iterator[tuple[Evidence, str, str]]:
    for pattern in words.NO_TOOL:
        for line, match in facts.lines(pattern):
            yield line, match["tool"], "not found"
    for line, match in facts.lines(_REVERSED):
        yield line, match["program"] or match["loaded"], match["why"] or "loading"
    before = dict(facts.log)
    for line, match in facts.lines(_CHILD_MISSING):
        if _CHILD in before.get((line.line or 0) - 1, ""):
            yield line, match["program"], "not found"
    for line, match in facts.lines(words.NOT_THERE):
        yield line, match["file"] or match["redirected"] or match["script"], _OPENED
    for line, match in facts.lines(words.NO_DIRECTORY):
        yield line, match["path"], _OPENED
    for line, match in facts.lines(_DATA):
        yield line, match["program"], "No such file or directory"
    for line, match in facts.lines(_REFUSED):
        # "zsh: command not found: x" is no program called zsh, nor "fatal error: cannot execute" one called error.
        if not _REVERSED.search(line.text) and not PART.search(line.text):
            yield line, match["program"], match["why"]


def _asked(
    view: MountView, cures: Cures, program: str, evidence: Evidence, *, at_start: bool, not_found: bool = True
) -> Iterator[Finding]:
    if "/" in program:
        mount = view.mount_of(program) if program.startswith("/") else None
        if at_start and mount is not None and "noexec" in (mount.options or ()):
            held = Evidence("mount", f"{program} is on {mount.destination}, which is mounted noexec")
            cure = f"# in the command: put it below /{scratch(view.request)}, and execute it there"
            yield Finding(f"nothing on {mount.destination} can be executed", (evidence, held), cure, "certain")
            return
        finding = examine(view, cures, program, evidence, strict=at_start)
        if finding is not None and (not_found or "is not inside" not in finding.cause):
            yield finding
        return
    if not re.fullmatch(r"[\w.+-]+", program) or program.isdigit():
        return
    path = view.request.environment_vars.get("PATH", b"").decode("utf-8", "replace")
    for directory in filter(None, path.split(":")):
        found = view.resolve(posixpath.join(directory, program))
        if found.kind == "file":
            finding = examine(view, cures, found.path, evidence, strict=True)
            if finding is not None:
                yield finding
                return
    places = elsewhere(view, program)
    looked = view.searched(program)
    absent = [part for part in path.split(":") if part.startswith("/") and view.resolve(part).kind == "missing"]
    searched = (
        Evidence("file", f"PATH is {path}" if path else "PATH is not set"),
        *(Evidence("file", f"{part} of PATH is not inside") for part in absent[:_LAST]),
        *(() if looked is None else (Evidence("file", looked),)),
    )
    if places:
        directory = posixpath.dirname(places[0])
        yield Finding(
            f"{program} is in no directory of PATH, but there is {places[0]}",
            (evidence, *searched, *(Evidence("file", f"{place} is there") for place in places)),
            cures.search_path("PATH", directory),
            "certain",
        )
        return
    names = {name: directory for directory in path.split(":") if directory for name in view.names(directory)}
    near = _near(program, names)
    yield Finding(
        f"{program} is neither in PATH nor in an input",
        (evidence, *searched, *(Evidence("file", f"{names[name]}/{name} is there") for name in near)),
        cures.program(program),
        "likely",
    )


def _near(name: str, names: dict[str, str]) -> list[str]:
    return difflib.get_close_matches(name, names, n=3, cutoff=0.7)
