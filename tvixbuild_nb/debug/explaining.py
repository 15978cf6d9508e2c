"""The conductor of explain(): facts to the checkers, the same cause told once, the surest first, secrets left out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tvixbuild_nb.build import BuildResult
from tvixbuild_nb.castore import Castore
from tvixbuild_nb.debug.checks import CHECKS, FIRST, Check
from tvixbuild_nb.debug.explanation import CONFIDENCES, Evidence, Explanation, Finding
from tvixbuild_nb.debug.facts import Facts
from tvixbuild_nb.debug.inside import MountView
from tvixbuild_nb.debug.processes import ProcessTree
from tvixbuild_nb.debug.telling import telling
from tvixbuild_nb.errors import CastoreError, InvalidSpec
from tvixbuild_nb.fs.trace import Search
from tvixbuild_nb.oci import Spec, recover_options
from tvixbuild_nb.oci.shown import shown
from tvixbuild_nb.request import BuildRequest, Redactor

# Lines at the end of the log that are looked at, and characters of each.
MAX_LINES = 5000
MAX_CHARACTERS = 1024
_MOST_OF_RUNTIME = 1 << 20
# Of a verdict: after every line.
_NO_LINE = 1 << 62
# Lines of a verdict that are shown as evidence.
_MOST_OF_VERDICT = 7
# Lines before the end within which a text is taken for what the build failed of.
_FRESH = 500


def explain_run(
    result: BuildResult | None,
    request: BuildRequest,
    castore: Castore | None,
    *,
    spec: Spec | None = None,
    bundle: Path | None = None,
    log: Iterable[tuple[int, str]] = (),
    redactor: Redactor | None = None,
    searches: tuple[Search, ...] = (),
    processes: ProcessTree | None = None,
    derivation: str | None = None,
    unseen: tuple[str, ...] = (),
) -> Explanation:
    """Why the run failed; empty for one that succeeded or goes on (``result`` None), whatever its log says.

    ``spec`` is the configuration that was run, ``bundle`` the kept one; ``log`` are the last lines with their numbers;
    ``searches`` what the build looked for; ``processes`` who waited for what when time was up; ``derivation`` the base
    name of the .drv that it builds, whose cures are others; ``unseen`` what the caller could not give, in words.
    """
    if result is None:
        return Explanation(otherwise="the run still goes on")
    if result.ok:
        return Explanation()
    missed = list(unseen)
    view = _view(request, spec, castore, bundle, searches, missed)
    facts = Facts(request, result, view, tuple(log), castore, _runtime_said(bundle, missed), processes, derivation)
    hide = redactor or Redactor()
    first = [finding for check in FIRST for finding in _found(check, facts, missed)]
    told = {line for finding in first if finding.confidence == "certain" for line in finding.lines}
    rest = replace(facts, log=tuple(line for line in facts.log if line[0] not in told))
    others = (finding for check in CHECKS for finding in _found(check, rest, missed))
    findings = merged(_aged(finding, facts) for finding in (*first, *others))
    if not findings and result.failed_at != "build" and result.hint is not None:
        # What ended it was our own error, which says what to do.
        said = Evidence("verdict", result.message or result.status)
        findings = [Finding((result.message or result.status).split("\n")[0], (said,), result.hint, "likely")]
    return Explanation(
        tuple(_shown(finding, hide) for finding in findings),
        wrong=True,
        known=tuple(_line(text, hide) for text in _known(facts)),
        unseen=tuple(_line(text, hide) for text in dict.fromkeys(missed)),
    )


def _found(check: Check, facts: Facts, unseen: list[str]) -> list[Finding]:
    found = []
    try:
        for finding in check(facts):
            found.append(finding)
    except CastoreError as error:
        unseen.append(f"the inputs: {error}")
    return found


def _aged(finding: Finding, facts: Facts) -> Finding:
    """The finding; no more than possible where all it rests on was printed long before the end."""
    last = facts.log[-1][0] if facts.log else 0
    lines = finding.lines
    if not lines or last - max(lines) <= _FRESH or any(one.kind in ("verdict", "usage") for one in finding.evidence):
        return finding
    return replace(finding, confidence="possible")


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Each cause once with all its evidence: the surest first, of those the one nearest the end of the log.

    Left out is what only reads a line that a surer one rests on; and what is only possible, where something is surer.
    """
    found: dict[str, Finding] = {}
    for finding in sorted(findings, key=_rank):
        before = found.get(finding.cause)
        if before is not None:
            evidence = tuple(dict.fromkeys((*before.evidence, *finding.evidence)))
            found[finding.cause] = replace(before, evidence=evidence)
        elif not any(_covers(other, finding) for other in found.values()):
            found[finding.cause] = finding
    return sorted(found.values(), key=lambda finding: (_rank(finding), -max(finding.lines, default=_NO_LINE)))


def _rank(finding: Finding) -> int:
    return CONFIDENCES.index(finding.confidence)


def _covers(better: Finding, finding: Finding) -> bool:
    if finding.confidence == "possible" and better.confidence != "possible":
        # A bare exit status, something said long ago: it says nothing beside a cause.
        return True
    if better.confidence != finding.confidence and finding.lines and finding.lines <= better.lines:
        return True
    told = [one for one in finding.evidence if one.kind in ("log", "verdict")]
    lines = better.lines
    verdicts = [one.text for one in better.evidence if one.kind == "verdict"]
    return len(told) == len(finding.evidence) and all(
        one.line in lines or any(one.text in verdict for verdict in verdicts) for one in told
    )


def _view(
    request: BuildRequest,
    spec: Spec | None,
    castore: Castore | None,
    bundle: Path | None,
    searches: tuple[Search, ...],
    unseen: list[str],
) -> MountView | None:
    if spec is None or castore is None:
        return None
    try:
        return MountView(request, recover_options(request, spec), castore, bundle, searches)
    except InvalidSpec:  # the verdict has told of it already
        return None
    except CastoreError as error:
        unseen.append(f"the inputs: {error}")
        return None


def _runtime_said(bundle: Path | None, unseen: list[str]) -> tuple[str, ...]:
    """The errors in the log that runc or crun wrote into the kept bundle, as they worded them."""
    if bundle is None:
        return ()
    try:
        with open(bundle / "runtime.log", encoding="utf-8", errors="replace") as file:
            lines = file.read(_MOST_OF_RUNTIME).splitlines()
    except FileNotFoundError:
        return ()
    except OSError as error:
        unseen.append(f"the runtime's log: {error}")
        return ()
    said = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:  # cut short by a full disk
            continue
        if isinstance(entry, dict) and entry.get("level", "error") in ("error", "fatal"):
            said.append(" ".join(str(entry.get("msg", "")).split()))
    return tuple(said)


def _known(facts: Facts) -> list[str]:
    return [*facts.result.verdict().split("\n"), *(telling(facts.log) or ["the log is empty"])]


def _line(text: str, hide: Redactor) -> str:
    return shown(hide.text(text))


def _shown(finding: Finding, hide: Redactor) -> Finding:
    cure = "\n".join(_line(line, hide) for line in hide.text(finding.cure).split("\n"))
    evidence = tuple(
        Evidence(one.kind, _line(text, hide), one.line)
        for one in finding.evidence
        for text in (one.text.split("\n")[:_MOST_OF_VERDICT] if one.kind == "verdict" else [one.text])
    )
    return Finding(_line(finding.cause, hide), evidence, cure, finding.confidence)
