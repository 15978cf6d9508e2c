"""The rules there are, in the order in which they are applied, each with its reason."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple, get_args

from tvixbuild_nb.build.events import Stage
from tvixbuild_nb.lab.scrub.rules import Mark, Rule

_STAGES = "|".join(get_args(Stage))
_FIGURES = "wall|cpu_user|cpu_system|cpu|peak_memory"
# Where a path may begin: after no part of a longer one, or after the end of a colour (``\x1b[32m``) in a traceback.
_BEFORE = r"(?:(?<![\w./-])|(?<=\x1b\[\dm)|(?<=\x1b\[\d\dm))"
# A directory that is not made for one notebook has more than a single component, or it would be found everywhere.
_LEAST_COMPONENTS = 2


def _rule(name: str, pattern: str, replacement: str, why: str, kind: str = "") -> Rule:
    return Rule(name, re.compile(pattern), replacement, why, kind)


RULES = (
    _rule(
        "recorded",
        r" \(recorded 20\d\d-\d\d-\d\d(?: on [^)\n]*)?\)|\n?\[recorded 20\d\d-\d\d-\d\d(?: on [^]\n]*)?\]", "",
        "what runs where builds cannot is replayed, and says when and where it was recorded",
    ),
    _rule("run id", r"\b20\d{6}-\d{6}-[0-9a-f]{6}\b", "run-#", "an id is a moment and a random number", "run"),
    _rule("bundle", r"\b[0-9a-f]{12}\.[0-9a-f]{32}\b", "bundle-#", "its name is one that nobody can guess"),
    _rule(
        "namespace", r"\b(?P<of>[a-z]+(?:_for_children)?):\[(?P<what>\d{9,10})\]", r"\g<of>:[ns-#]",
        "the kernel counts them on from its start; which are the same is what matters",
    ),
    _rule("cell's file", r"/tmp/ipykernel_\d+/\d+\.py", "/tmp/ipykernel/cell.py", "named after the kernel's process"),
    _rule(
        "temporary path", r"(?P<at>/(?:var/)?tmp)/(?P<what>tmp[a-z0-9_]{8})\b", r"\g<at>/tmp-#",
        "tempfile gives random names",
    ),
    _rule("address in memory", r"\bat 0x[0-9a-f]{6,16}\b", "at 0x…", "objects lie elsewhere in every process"),
    _rule(
        "moment", r"\b20[2-9]\d-[01]\d-[0-3]\d[ T][0-2]\d:[0-5]\d:[0-5]\d(?:[.,]\d+)?(?: ?UTC|Z|[+-]\d\d:?\d\d\b)?",
        "(a moment)", "the time at which the notebook was executed",
    ),
    _rule(
        "timing of a stage", rf"(?P<stage>'(?:{_STAGES})': )\d+(?:\.\d+)?(?:e-?\d+)?", r"\g<stage>…",
        "run.timings: another time it takes another time",
    ),
    _rule(
        "figure of usage", rf"\b(?P<name>{_FIGURES})=\d+(?:\.\d+)?(?:e-?\d+)?", r"\g<name>=…",
        "run.usage: what a build takes depends on who else is at work",
    ),
    _rule(
        "usage in words",
        r"\b\d+\.\d{3} s(?:, \d+\.\d{3} s of CPU)(?:, at most \d+(?:\.\d+)? MiB)?"
        r"(?P<oom>, \d+ ended for lack of memory)? \((?:cgroup|rusage \([^)]*\))\)",
        r"… s, … s of CPU, at most … MiB\g<oom>", "run.usage as text: figures, and what this host measures them with",
    ),
    _rule("room", r"\b\d+(?:\.\d+)? GiB free\b", "… GiB free", "doctor() says how much room there is"),
    _rule(
        "duration", r"\b\d+\.\d{2,3} s\b|\b\d+(?:\.\d+)? ms\b", "… s",
        "so exactly only measured times are told: run.timings, verdicts, lists of runs, doctor()",
    ),
)  # fmt: skip
"""For text that no view has marked: what is printed, tracebacks, values of anybody."""

MARKS = {
    mark.name: mark
    for mark in (
        Mark("seconds", "… s", "how long something took"),
        Mark("moment", "(a moment)", "when something was"),
        Mark("amount", "…", "bytes, shares and counts that depend on who else is at work"),
        Mark("used", "wall time … s, CPU … s, peak memory …", "figures, and which of them a host can measure"),
        Mark("host", "…", "what only this host is like"),
        Mark("pid", "pid-#", "process numbers go on from build to build"),
        Mark("subid", "", "which subordinate ids a host has free; they are renamed all over the notebook"),
        Mark("builder", "builds run here, or are replayed from records where they cannot", "where a notebook builds"),
        Mark("presence", None, "shown only where something took long, or where a host lacks something"),
    )
}
"""By the name that stands in ``data-volatile``."""


class Place(NamedTuple):
    """A directory of this host, and what a notebook calls it wherever it is executed."""

    path: str
    shown: str


def host_rules(places: Iterable[Place], release: str = "") -> tuple[Rule, ...]:
    """Rules for what is known of the host that executes: its directories, and the kernel's release.

    A place directly below ``/`` is passed over: other files have names like that.
    """
    found = []
    for place in sorted(set(places), key=lambda each: -len(each.path)):
        if place.path.rstrip("/").count("/") >= _LEAST_COMPONENTS:
            pattern = re.compile(rf"{_BEFORE}{re.escape(place.path.rstrip('/'))}(?![\w.-])")
            shown = place.shown.replace("\\", r"\\")
            found.append(Rule("place", pattern, shown, "where things are on the host that executes"))
    if len(release) > len("6.1.0"):
        found.append(Rule("kernel", re.compile(re.escape(release)), "(this kernel)", "the host's kernel"))
    return tuple(found)
