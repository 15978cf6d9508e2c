"""How a run ended: time limit, cancelled, memory, signals, exit statuses, outputs that were not written."""

from __future__ import annotations

import difflib
import posixpath
import re
import signal
from collections.abc import Iterator

from tvixbuild_nb.debug.explanation import Evidence, Finding
from tvixbuild_nb.debug.facts import Facts

_MOST_WRITTEN = 10
_STATUSES = {
    126: ("status 126: a program was found and could not be executed", "chmod +x it, or look at its #! line"),
    127: (
        "status 127: a program was not found",
        'sb.add_input("tools", ...)  # what has the program\nsb.env["PATH"] = f"/{sb.inputs_dir}/tools/bin"',
    ),
}
_SHORT = re.compile(r"Killed signal terminated program|fatal error: Killed|signal 9|^Killed$|out of memory", re.I)


def ends(facts: Facts) -> Iterator[Finding]:
    """The end of the run in words: ours (cancelled, timed out), the kernel's, the command's own."""
    result = facts.result
    if result.status == "timed-out":
        cure = f"run = sb.run(timeout={max(60, round(2 * (result.usage.wall or 30)))})  # seconds"
        yield Finding("the time limit passed, and the run was ended", (facts.verdict,), cure, "certain")
        return
    if result.status == "cancelled":
        yield Finding("the run was cancelled, it did not fail by itself", (facts.verdict,), "run = sb.run()", "certain")
        return
    if result.usage.oom_kills:
        yield _out_of_memory(facts)
    elif result.failed_at == "build":
        yield from _status(facts)
    if result.written is not None:
        yield _missing_output(facts)


def _out_of_memory(facts: Facts) -> Finding:
    usage = facts.result.usage
    peak = usage.peak_memory or 512 << 20
    evidence = [
        Evidence("usage", f"the kernel ended {usage.oom_kills} of its processes for lack of memory"),
        facts.verdict,
    ]
    evidence += [line for line, _ in facts.lines(_SHORT)[:1]]
    whose = "the command" if facts.result.signal == signal.SIGKILL or facts.result.exit_code == 137 else "a child"
    return Finding(
        f"out of memory: {whose} was ended by the kernel",
        tuple(evidence),
        f'sb.options = SpecOptions.for_host(limits={{"memory": {2 * peak}}})  # bytes; or fewer jobs at a time',
        "certain",
    )


def _status(facts: Facts) -> Iterator[Finding]:
    code, number = facts.result.exit_code, facts.result.signal
    if code is not None and code > 128 and number is None and code - 128 in set(signal.Signals):
        number = code - 128
    if number is not None:
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        evidence = [facts.verdict]
        cause = f"{name} ended the command: sent from inside, neither the time limit nor cancel()"
        if number == signal.SIGKILL and facts.result.usage.source == "cgroup":
            evidence.append(Evidence("usage", "no process was ended for lack of memory"))
        elif number == signal.SIGKILL:
            cause = f"{name} ended the command: by something inside, or for lack of memory, which nobody counted"
        cure = "run.log.tail(50)  # what it did last"
        yield Finding(cause, tuple(evidence), cure, "likely" if number != signal.SIGKILL else "possible")
    elif code in _STATUSES:
        cause, cure = _STATUSES[code]
        last = [Evidence("log", text.strip(), line) for line, text in facts.log[-1:]]
        yield Finding(cause, (facts.verdict, *last), cure, "possible")


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
    cure = f"write it in the command: ... > /{wanted}"
    if near:
        path = names[near[0]].lstrip("/")
        cure = f'sb.outputs = ("{path}",)  # or in the command: mv /{path} /{wanted}'
    return Finding(f"the command ended well and did not write /{wanted}", tuple(evidence), cure, "certain")
