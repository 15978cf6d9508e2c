"""A run whose time was up: who waited for what, what to do about that, and only then more time."""

from __future__ import annotations

import re

from tvixbuild_nb.build.verdict import SILENT
from tvixbuild_nb.debug.explanation import Evidence, Finding
from tvixbuild_nb.debug.facts import Facts
from tvixbuild_nb.debug.processes import Process

_MOST = 5
_TERMINAL = re.compile(r"/dev/(?:tty|pts|console)")
# What a process waits in -> what may end that.
_ENDS = {
    "read": "somebody has to write what it reads, or to close the other end: give it a file (< FILE, </dev/null)",
    "write": "somebody has to read what it writes: drain that pipe, or write into a file",
    "open": "a FIFO opens when both sides do: start the other one first, in the background",
    "sleep": "shorten its sleep, or what it polls for never comes: look at what it tries in between",
    "lock": "somebody else holds the lock: do not start it twice, or remove a lock file that came with the source",
    "connect": "nobody answers from inside: start the server in the build, or fetch beforehand",
    "accept": "nobody inside connects to it: start it in the background, and end it with the build",
    "send": "the other end of its socket takes nothing",
    "receive": "the other end of its socket says nothing: nobody does from outside, without a network",
    "poll": "none of its files or sockets becomes ready: one is a pipe or a socket whose other end says nothing",
    "select": "none of its files or sockets becomes ready: one is a pipe or a socket whose other end says nothing",
    "futex": "threads or processes wait for each other: a deadlock, or one of them has ended",
    "pause": "nobody sends it the signal it waits for",
    "signal": "nobody sends it the signal it waits for",
}  # fmt: skip
_ASKS = "it asks somebody at a terminal, and there is nobody: --batch, --yes, </dev/null"


def out_of_time(facts: Facts) -> Finding:
    """The finding for a run that was ended for want of time."""
    silent = (facts.result.message or "").startswith(SILENT)
    cause = "it said nothing for too long" if silent else "the time limit passed"
    said = [line for line, _ in facts.lines(r"\S")[:1]]
    last = said or [Evidence("usage", "it had written nothing until then")]
    everybody = () if facts.processes is None else facts.processes.processes
    parents = {each.parent for each in everybody}
    # Those for whom nobody else waits to be heard of: who has no children, and waits or works by itself.
    waiting = [each for each in everybody if each.pid not in parents]
    shown = [Evidence("process", f"{_called(each)}: {each.doing}") for each in waiting]
    more = len(shown) - _MOST
    told = shown[:_MOST] + ([Evidence("process", f"and {more} more")] if more > 0 else [])
    cure = "\n".join(_cure(facts, waiting[:_MOST], "silent_timeout" if silent else "timeout"))
    return Finding(f"{cause}, and the run was ended", (facts.verdict, *last, *told), cure, "certain")


def _called(one: Process) -> str:
    return f"{one.pid} {' '.join(one.command) or one.name}"


def _cure(facts: Facts, waiting: list[Process], option: str) -> list[str]:
    again = facts.cures.again(option, max(60, round(2 * (facts.result.usage.wall or 30))))
    advised: dict[str, list[str]] = {}
    for one in waiting:
        text = _advice(one)
        if text is not None:
            advised.setdefault(text, []).append(f"{one.pid} {one.name}")
    advice = [f"# {', '.join(names)}: {text}" for text, names in advised.items()]
    lines = [f"{facts.cures.waiting(facts.result.id)}  # who waited for what, all of them"] if waiting else []
    working = [one for one in waiting if one.verb == "runs"]
    if working:
        names = ", ".join(f"{one.pid} {one.name}" for one in working)
        lines.append(f"# at work, or going round in circles: {names}")
    also = "" if working and not advice else "; last: what waits for ever has no use for it" if waiting else ""
    return [*lines, *advice, f"{again}{also}"]


def _advice(one: Process) -> str | None:
    if one.verb == "read" and _TERMINAL.search(one.doing):
        return _ASKS
    return None if one.verb is None else _ENDS.get(one.verb)
