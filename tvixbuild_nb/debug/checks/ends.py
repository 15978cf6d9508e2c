"""How a run ended: time limit, cancelled, memory, signals, exit statuses, outputs that were not written."""

from __future__ import annotations

import difflib
import posixpath
import re
import signal
from collections.abc import Iterator

from tvixbuild_nb.build.known import words
from tvixbuild_nb.debug.checks.lineends import carriage_returns
from tvixbuild_nb.debug.checks.unset import unset_output
from tvixbuild_nb.debug.checks.waiting import out_of_time
from tvixbuild_nb.debug.explanation import Confidence, Evidence, Finding
from tvixbuild_nb.debug.facts import Facts

_MOST_WRITTEN = 10
_MOST_NAMED = 3
_STEP = 16 << 20
_STATUSES = {
    124: (
        "status 124: timeout(1) ends with it when the time passed that it was given",
        "# where the command starts timeout: give it more time",
    ),
    126: (
        "status 126: shells end with it when a program was found and could not be executed",
        "# where the command does not say exit 126 itself: chmod +x the program, or look at its #! line",
    ),
    127: (
        "status 127: shells end with it when a program was not found",
        "# where the command does not say exit 127 itself: give the build an input that has the program, and PATH",
    ),
}
_SHORT = re.compile(words.KILLED)
# What shells print of a child that a signal ended.
_SIGNALLED = re.compile(
    r"(?m:^(?:.*: line \d+: +\d+ )?(?:Killed|Terminated|Segmentation fault|Aborted|Bus error|Illegal instruction"
    r"|Floating point exception|Trace/breakpoint trap|Hangup|Alarm clock)\b)|core dumped"
)


def ends(facts: Facts) -> Iterator[Finding]:
    """The end of the run in words: ours (cancelled, timed out), the kernel's, the command's own."""
    result = facts.result
    if result.status == "timed-out":
        yield out_of_time(facts)
        return
    if result.status == "cancelled":
        yield Finding(
            "the run was cancelled, it did not fail by itself", (facts.verdict,), facts.cures.again(), "certain"
        )
        return
    if result.usage.oom_kills:
        yield _out_of_memory(facts)
    elif result.failed_at == "build":
        yield from _status(facts)
    if result.written is not None:
        yield _missing_output(facts)


def _out_of_memory(facts: Facts) -> Finding:
    usage = facts.result.usage
    # Twice of what it had is a guess: a round number shows it as one.
    twice = 2 * (usage.peak_memory or 512 << 20)
    enough = max(twice // _STEP, 1) * _STEP
    evidence = [
        Evidence("usage", f"the kernel ended {usage.oom_kills} of its processes for lack of memory"),
        facts.verdict,
    ]
    evidence += [line for line, _ in facts.lines(_SHORT)[:1]]
    whose = "the command" if facts.result.signal == signal.SIGKILL else "a child"
    return Finding(
        f"out of memory: {whose} was ended by the kernel",
        tuple(evidence),
        facts.cures.limit("memory", enough, "bytes; or fewer jobs at a time"),
        "certain",
    )


def _status(facts: Facts) -> Iterator[Finding]:
    code, number = facts.result.exit_code, facts.result.signal
    if number is not None:
        yield _signalled(facts, number, f"{_name(number)} ended the command", "likely")
    elif code is not None and code > 128 and code - 128 in set(signal.Signals):
        told = [line for line, _ in facts.lines(_SIGNALLED)[:1]]
        cause = f"{_name(code - 128)} ended a process of the command: shells say so with status 128 + {code - 128}"
        yield _signalled(facts, code - 128, cause, "likely" if told else "possible", *told)
    elif code in _STATUSES:
        cause, cure = _STATUSES[code]
        last = [Evidence("log", text.strip(), line) for line, text in facts.log[-1:]]
        yield Finding(cause, (facts.verdict, *last), cure, "possible")


def _name(number: int) -> str:
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"


def _signalled(facts: Facts, number: int, cause: str, sure: Confidence, *told: Evidence) -> Finding:
    evidence = [facts.verdict, *told]
    if number == signal.SIGSEGV and facts.result.signal is not None:
        # The first process is immune to SIGABRT, and abort() then ends it so.
        cause = f"{cause} (abort() and failed assertions of a first process end so, too)"
    cause = f"{cause}; neither the time limit nor cancel() sent it"
    if number == signal.SIGKILL and facts.counted:
        evidence.append(Evidence("usage", "no process was ended for lack of memory"))
    elif number == signal.SIGKILL:
        cause = f"{cause}, but lack of memory may have, which nobody counted"
        sure = "possible"
    return Finding(cause, tuple(evidence), "run.log.tail(50)  # what it did last", sure)


def _missing_output(facts: Facts) -> Finding:
    written = facts.result.written or ()
    known = {path.lstrip("/") for path in written}
    missing = [path for path in facts.request.outputs if path not in known]
    wanted = missing[0] if missing else facts.request.outputs[0]
    names = {posixpath.basename(path): path for path in reversed(written)}
    near = difflib.get_close_matches(posixpath.basename(wanted), names, n=1, cutoff=0.5)
    evidence = [Evidence("file", f"/{path} is not there") for path in missing]
    evidence += [Evidence("file", f"{path} was written") for path in written[:_MOST_WRITTEN]]
    if len(written) > _MOST_WRITTEN:
        evidence.append(Evidence("file", f"and {len(written) - _MOST_WRITTEN} more were written"))
    if not written:
        evidence.append(Evidence("file", "nothing was written"))
    cure = facts.cures.unwritten(wanted)
    ends, variable = None, None
    if any("\r" in path for path in written):
        ends = carriage_returns(facts)
    else:
        variable = unset_output(facts)
    if ends is not None:
        evidence, cure = [*evidence, ends[0]], facts.cures.line_ends(ends[1])
    elif variable is not None:
        cure = facts.cures.stands_for(variable, f"/{wanted}")
    elif near:
        cure = facts.cures.written(names[near[0]], wanted)
    names_of = ", ".join(f"/{path}" for path in missing[:_MOST_NAMED] or [wanted])
    cause = f"the command ended well and did not write {names_of}"
    if ends is not None:
        cause = f"{cause}: its lines end in CR LF, and so do the names that it wrote"
    elif variable is not None:
        cause = f"{cause}: the variable {variable} is not set"
    return Finding(cause, tuple(evidence), cure, "certain")
