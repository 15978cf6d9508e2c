"""What statuses, faults, exits and amounts are called; pure."""

from __future__ import annotations

import signal
import time

FAULTS = {
    "setup": "the sandbox could not be set up: the command never ran",
    "exec": "the command could not be started inside the sandbox",
    "build": "the command ran, and failed by itself",
    "output": "the command ended well, but its outputs are not as the request says",
    "ingest": "the outputs are there, but could not be stored",
}
"""Whose fault a failure was: ``failed_at`` in words."""

_SHELL = {
    126: "what a shell says when it found the command and may not execute it",
    127: "what a shell says when it did not find the command",
}
_SIGNALS = {
    "SIGABRT": "it gave up by itself (abort)",
    "SIGBUS": "a memory access the machine refused",
    "SIGFPE": "an arithmetic error",
    "SIGHUP": "its terminal went away",
    "SIGILL": "an instruction the machine does not know",
    "SIGINT": "interrupted, as by Ctrl-C",
    "SIGKILL": "killed; by somebody, or by the kernel for lack of memory",
    "SIGPIPE": "nobody read what it wrote",
    "SIGSEGV": "a memory access outside what it has",
    "SIGSYS": "a system call that is not allowed",
    "SIGTERM": "asked to end",
    "SIGXCPU": "its CPU time was used up",
}


def exit_words(code: int | None, number: int | None) -> str | None:
    """How the command's first process ended, a shell's ``128 + n`` decoded; None when it is not known."""
    if number is not None:
        return f"ended by signal {number}, {_signal(number)}"
    if code is None:
        return None
    if code in _SHELL:
        return f"status {code}: {_SHELL[code]}"
    if 128 < code <= 128 + signal.NSIG and _name(code - 128):
        return f"status {code} = 128 + {code - 128}, as a shell says of a process ended by {_signal(code - 128)}"
    return f"status {code}"


def _signal(number: int) -> str:
    name = _name(number) or "which has no name here"
    return f"{name} ({_SIGNALS[name]})" if name in _SIGNALS else name


def _name(number: int) -> str | None:
    try:
        return signal.Signals(number).name
    except ValueError:
        return None


def seconds_words(seconds: float) -> str:
    """A duration for people: 3 ms, 1.25 s, 2 min 05 s."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def moment_words(moment: float) -> str:
    """Seconds since the epoch as a date that means the same everywhere."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment))
