"""Variables that are not set: what a command writes to $out/x then goes to /x, and of "$out" nothing is left."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from tvixbuild_nb.build.known import words
from tvixbuild_nb.debug.checks.scripts import Text, scripts
from tvixbuild_nb.debug.cures import scratch
from tvixbuild_nb.debug.explanation import Evidence, Finding
from tvixbuild_nb.debug.facts import Facts

_USED = re.compile(r"(?<!\\)\$(?:\{(?P<braced>[A-Za-z_]\w*)\}|(?P<bare>[A-Za-z_]\w*))(?P<after>[\"']?[^\s\"';&|)<>]*)")
# What sets them within a script, or hides what does.
_SETS = re.compile(
    r"(?<![\w$])(?P<assigned>[A-Za-z_]\w*)\+?=|\bfor\s+(?P<loop>[A-Za-z_]\w*)"
    r"|\b(?:read|local|declare|typeset|getopts|mapfile|printf\s+-v)\b(?P<named>[^\n;]*)"
)
_HIDES = re.compile(r"(?m)(?:^|[\s;&|(])(?:\.|source|eval)\s+\S")
# What shells, and runtimes by /etc/passwd, have without being given it.
_OWN = re.compile(
    r"PATH|HOME|PWD|OLDPWD|IFS|PPID|SHLVL|OPT(?:IND|ARG|ERR)|E?UID|RANDOM|SECONDS|HOSTNAME|LINENO|BASH\w*|PS\d|_"
)
_REFUSED = re.compile(
    rf"{words.READ_ONLY}|No such file or directory|{words.NO_PARENT}|Permission denied|[Ii]s a directory"
)
# Who complains wanted to write.
_WRITES = re.compile(rf"{words.READ_ONLY}|{words.NO_PARENT}|creat|mkdir|touch|redirect")
_PLACES = ("TMPDIR", "TMP", "TEMP")
_PATH = re.compile(r"(?<![\w.])(?P<path>/[^\s'\"‘’:,;)\]]*)")
_TOOL = re.compile(r"^Usage: (?P<usage>[\w.-]+) |^(?P<tool>[\w./-]+): missing (?:\w+ )*operand")
_MOST = 200
_MOST_LINES = 3
_MOST_USED = 1000
_MOST_NAMES = 20


@dataclass(frozen=True, slots=True)
class _Complaint:
    """What a line of the log minds: a variable that is not set, paths, a name that is empty, or the use of a tool."""

    variable: str | None
    paths: tuple[str, ...]
    nameless: bool
    tool: str | None

    @classmethod
    def of(cls, line: str) -> _Complaint | None:
        unset = re.search(words.UNSET, line)
        paths = _PATH.finditer(line) if _REFUSED.search(line) else ()
        nameless, tool = re.search(words.NO_NAME, line) is not None, _TOOL.search(line)
        if unset is None and not _REFUSED.search(line) and not nameless and tool is None:
            return None
        return cls(
            None if unset is None else unset["name"],
            tuple(path for found in paths if (path := found["path"].rstrip("/."))),
            nameless,
            None if tool is None else (tool["usage"] or tool["tool"]).rpartition("/")[2],
        )

    def follows_from(self, match: re.Match[str], text: Text) -> bool:
        """Whether it is what comes of the word without the variable's value."""
        left = _left(match)
        if self.variable is not None:
            return self.variable == _name(match)
        if left:
            # mkdir -p says which part of it could not be made.
            return left.startswith("/") and any(f"{left}/".startswith(f"{path}/") for path in self.paths)
        before = text.line_before(match.start())
        used = self.tool is not None and re.search(rf"\b{re.escape(self.tool)}\b[^;|&]*$", before) is not None
        return self.nameless or used


def unset(facts: Facts) -> Iterator[Finding]:
    """The variable without which a path, or a name that is empty, came about: the last one, with all lines of it."""
    if facts.result.failed_at != "build":
        return
    used = list(islice(_unset(facts, scripts(facts)), _MOST_USED))
    found: list[tuple[Evidence, re.Match[str], Text]] = []
    for number, line in reversed(facts.log[-_MOST:] if used else ()):
        complaint = _Complaint.of(line)
        for match, text in used if complaint is not None else ():
            assert complaint is not None
            if (not found or _name(found[0][1]) == _name(match)) and complaint.follows_from(match, text):
                found.append((Evidence("log", line.strip(), number), match, text))
                break
    if found:
        yield _finding(facts, [said for said, _, _ in found[:_MOST_LINES]], found[0][1], found[0][2])


def unset_output(facts: Facts) -> str | None:
    """The variable that stands for an output in the command, and is not set; None where there is none."""
    names = {_variable(output) for output in facts.request.outputs} | {"out"}
    return next((name for match, _ in _unset(facts, scripts(facts)) if (name := _name(match)) in names), None)


def _variable(output: str) -> str:
    """What Nix calls an output: behind the last hyphen, if anything."""
    return output.rpartition("/")[2].rpartition("-")[2]


def _name(match: re.Match[str]) -> str:
    return str(match["braced"] or match["bare"])


def _unset(facts: Facts, texts: list[Text]) -> Iterator[tuple[re.Match[str], Text]]:
    whole = "\n".join(text.contents for text in texts)
    if _HIDES.search(whole):
        return
    known = {name for name, value in facts.request.environment_vars.items() if value}
    for sets in _SETS.finditer(whole):
        known.update(re.findall(r"\w+", sets["assigned"] or sets["loop"] or sets["named"]))
    for text in texts:
        for match in _USED.finditer(text.contents):
            name = _name(match)
            if name not in known and not _OWN.fullmatch(name):
                yield match, text


def _left(match: re.Match[str]) -> str:
    """What is left of the word without the variable's value."""
    return str(match["after"]).strip("\"'")


def _finding(facts: Facts, said: list[Evidence], match: re.Match[str], text: Text) -> Finding:
    name, left = _name(match), _left(match)
    empty = "is empty" if name in facts.request.environment_vars else "is not set"
    value = _value(facts, name, said[0].text)
    where = "the command" if text.path is None else text.path
    there = Evidence("file", f"{where} says: {text.line_of(match.start())}")
    variables = sorted(facts.request.environment_vars)
    more = f" and {len(variables) - _MOST_NAMES} more" if len(variables) > _MOST_NAMES else ""
    names = ", ".join(variables[:_MOST_NAMES]) + more or "no variables"
    given = Evidence("file", f"the build's environment has {names}")
    so = f", so that {match[0]} is {left}" if left else ", so that nothing is left of the name"
    if re.search(words.UNSET, said[0].text):
        so = ": a build has only the environment it is given"
    cure = facts.cures.variable(name, "...") if value is None else facts.cures.stands_for(name, value)
    return Finding(f"the variable {name} {empty}{so}", (*said, there, given), cure, "certain")


def _value(facts: Facts, name: str, said: str) -> str | None:
    """What the variable is likely to be for: an output, a place for temporary files, or None, where nobody knows."""
    if name in _PLACES:
        return f"/{scratch(facts.request)}"
    outputs = facts.request.outputs
    own = next((output for output in outputs if _variable(output) == name), None)
    if own is None and not (name == "out" or _WRITES.search(said)):
        return None
    output = own or (outputs[0] if outputs else None)
    return f"/{scratch(facts.request)}/{name}" if output is None else f"/{output}"
