"""ProcessTree: the processes of a build, and who of them waits for what."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tvixbuild_nb.castore.progress import human
from tvixbuild_nb.display import mimebundle, plain, register
from tvixbuild_nb.request import Redactor

_SHOWN = 200
_NAMED = 4
# System calls that wait, by their numbers in the kernel's tables; see syscalls(2).
_X86_64 = {
    0: "read", 1: "write", 7: "poll", 17: "read", 18: "write", 19: "read", 20: "write", 23: "select", 34: "pause",
    35: "sleep", 42: "connect", 43: "accept", 44: "send", 45: "receive", 46: "send", 47: "receive", 61: "wait4",
    72: "lock", 73: "lock", 74: "sync", 75: "sync", 128: "signal", 130: "signal", 202: "futex", 230: "sleep",
    232: "poll", 247: "waitid", 257: "open", 2: "open", 270: "select", 271: "poll", 281: "poll", 288: "accept",
    441: "poll", 449: "futex",
}  # fmt: skip
_AARCH64 = {
    63: "read", 64: "write", 65: "read", 66: "write", 67: "read", 68: "write", 73: "poll", 72: "select", 101: "sleep",
    115: "sleep", 203: "connect", 202: "accept", 242: "accept", 206: "send", 207: "receive", 211: "send",
    212: "receive", 260: "wait4", 95: "waitid", 25: "lock", 32: "lock", 82: "sync", 83: "sync", 98: "futex",
    133: "signal", 137: "signal", 22: "poll", 56: "open", 441: "poll", 449: "futex",
}  # fmt: skip
_CALLS: Mapping[str, Mapping[int, str]] = {"x86_64": _X86_64, "aarch64": _AARCH64}
_PIPE = re.compile(r"pipe:\[\d+\]")
_STATES = {
    "T": "is stopped by a signal",
    "t": "is stopped by a tracer",
    "Z": "has ended, and its parent has not asked how",
    "D": "waits in the kernel, and cannot be interrupted",
    "I": "idles in the kernel",
}


@dataclass(frozen=True, slots=True)
class Process:
    """One process: ``pid`` and ``parent`` as they are known inside, ``doing`` in words who or what it waits for.

    ``command`` are its words, without secrets; ``age`` and ``cpu`` seconds, ``memory`` bytes; ``threads`` how many.
    ``verb``: runs, or what it waits in (read, sleep, lock, ...); None where that is not known.
    """

    pid: int
    parent: int
    name: str
    command: tuple[str, ...]
    state: str
    doing: str
    age: float
    cpu: float
    memory: int
    threads: int
    cwd: str | None
    verb: str | None = None


@dataclass(frozen=True, slots=True)
class ProcessTree:
    """The processes of a sandbox at ``time`` (seconds since the epoch); ``when`` says in words when that was."""

    when: str
    time: float
    processes: tuple[Process, ...]

    def __iter__(self) -> Iterator[Process]:
        return iter(self.processes)

    def __len__(self) -> int:
        return len(self.processes)

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        rows = [{name: getattr(each, name) for name in Process.__slots__} for each in self.processes]
        return {"when": self.when, "time": self.time, "processes": rows}

    def __str__(self) -> str:
        lines = [f"{len(self)} process{'' if len(self) == 1 else 'es'}, {self.when}"]
        lines += [_line(each, depth) for each, depth in self.ordered()][:_SHOWN]
        if len(self) > _SHOWN:
            lines.append(f"... and {len(self) - _SHOWN} more")
        return "\n".join(lines)

    def ordered(self) -> Iterator[tuple[Process, int]]:
        """Each process with its depth, parents before children; whose parent is not among them stands at the top."""
        known = {each.pid for each in self.processes}
        children: dict[int, list[Process]] = {}
        for each in self.processes:
            above = each.parent if each.parent in known and each.parent != each.pid else 0
            children.setdefault(above, []).append(each)
        todo = [(each, 0) for each in reversed(children.pop(0, []))]
        while todo:
            each, depth = todo.pop()
            yield each, depth
            todo.extend((child, depth + 1) for child in reversed(children.pop(each.pid, [])))

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


register(ProcessTree, plain)


def _line(each: Process, depth: int) -> str:
    command = " ".join(each.command) or f"[{each.name}]"
    command = command if len(command) <= 60 else f"{command[:59]}…"
    figures = f"{each.age:.1f} s old, {each.cpu:.1f} s of cpu, {human(each.memory)}"
    return f"{'  ' * depth}{each.pid} {command}: {each.doing}  ({figures})"


def process_tree(facts: Sequence[Mapping[str, Any]], when: str, time: float, redactor: Redactor) -> ProcessTree:
    """Make sense of what :func:`tvixbuild_nb.keeper.processes.processes` tells; ``redactor`` hides secrets."""
    found = []
    for each in facts:
        command = tuple(redactor.text(word) for word in each["command"] if word)
        found.append(
            Process(
                each["pid"],
                each["parent"],
                each["name"],
                command,
                each["state"],
                redactor.text(_doing(each, facts)),
                each["age"],
                each["cpu"],
                each["memory"],
                len(each["threads"]),
                each["cwd"],
                _verb(each),
            )  # fmt: skip
        )
    return ProcessTree(when, time, tuple(found))


def _verb(one: Mapping[str, Any]) -> str | None:
    if one["state"] in _STATES:
        return None
    if one["state"] == "R" or "R" in one["threads"]:
        return "runs"
    call = one["call"]
    return None if call is None or one["bits"] != 64 else _CALLS.get(platform.machine(), {}).get(call[0])


def _doing(one: Mapping[str, Any], all_of: Sequence[Mapping[str, Any]]) -> str:
    state, running = one["state"], sum(letter == "R" for letter in one["threads"])
    if state in _STATES:
        return _STATES[state]
    if running or state == "R":
        return "runs" if len(one["threads"]) <= 1 else f"runs, in {running or 1} of {len(one['threads'])} threads"
    call, verb = one["call"], _verb(one)
    if verb is None:
        return f"waits in the kernel ({one['where']})" if one["where"] not in (None, "", "0") else "waits"
    assert call is not None
    return _WORDS[verb](one, call, all_of)


def _reads(one: Mapping[str, Any], call: Sequence[int], all_of: Sequence[Mapping[str, Any]]) -> str:
    return _transfers(one, call[1], all_of, "reads from", "w", "writes to it")


def _writes(one: Mapping[str, Any], call: Sequence[int], all_of: Sequence[Mapping[str, Any]]) -> str:
    return _transfers(one, call[1], all_of, "writes to", "r", "reads from it")


def _transfers(
    one: Mapping[str, Any], fd: int, all_of: Sequence[Mapping[str, Any]], verb: str, mode: str, other: str
) -> str:
    target = next((name for number, name, _ in one["files"] if number == fd), None)
    if target is None:
        return f"{verb} file {fd}"
    if not _PIPE.fullmatch(target):
        return f"{verb} {target}"
    ends = [each for each in all_of if any(name == target and mode in modes for _, name, modes in each["files"])]
    others = [each for each in ends if each["pid"] != one["pid"]]
    if others:
        return f"{verb} a pipe, until {_names(others)} {other}"
    if ends:
        return f"{verb} a pipe whose other end it holds itself: nobody else {other}"
    return f"{verb} a pipe; nobody in the sandbox {other}"


def _awaits(one: Mapping[str, Any], call: Sequence[int], all_of: Sequence[Mapping[str, Any]]) -> str:
    """wait4(pid) and waitid(kind, pid): a child, or any of them."""
    first = _signed(call[1])
    which = first if call[0] in (61, 260) else (_signed(call[2]) if first == 1 else -1)
    children = [each for each in all_of if each["parent"] == one["pid"] and each["state"] != "Z"]
    wanted = [each for each in children if each["pid"] == which] or children
    if not wanted:
        return "waits for a child that is not there"
    return f"waits for its child{'' if len(wanted) == 1 else 'ren'} {_names(wanted)}"


def _awaits_a_signal(one: Mapping[str, Any], call: Sequence[int], all_of: Sequence[Mapping[str, Any]]) -> str:
    """What shells wait by that wait for whichever child comes first."""
    children = [each for each in all_of if each["parent"] == one["pid"] and each["state"] != "Z"]
    return f"waits for a signal, such as the end of {_names(children)}" if children else "waits for a signal"


def _opens(one: Mapping[str, Any], call: Sequence[int], all_of: Sequence[Mapping[str, Any]]) -> str:
    return "waits while it opens a file: a FIFO nobody has opened from the other side, or a slow file system"


def _says(words: str) -> Callable[[Mapping[str, Any], Sequence[int], Sequence[Mapping[str, Any]]], str]:
    return lambda one, call, all_of: words


_WORDS: Mapping[str, Callable[[Mapping[str, Any], Sequence[int], Sequence[Mapping[str, Any]]], str]] = {
    "read": _reads,
    "write": _writes,
    "wait4": _awaits,
    "waitid": _awaits,
    "open": _opens,
    "poll": _says("waits until one of its files or sockets has something for it"),
    "select": _says("waits until one of its files or sockets has something for it"),
    "pause": _awaits_a_signal,
    "signal": _awaits_a_signal,
    "sleep": _says("sleeps"),
    "connect": _says("waits for a connection to be answered"),
    "accept": _says("waits for somebody to connect"),
    "send": _says("waits until a socket takes what it sends"),
    "receive": _says("waits for data from a socket"),
    "lock": _says("waits for a lock on a file, which somebody else holds"),
    "sync": _says("waits until the disk has it"),
    "futex": _says("waits for another thread, or for a process that it shares memory with"),
}


def _names(processes: Sequence[Mapping[str, Any]]) -> str:
    names = [f"{each['pid']} ({each['name']})" for each in processes[:_NAMED]]
    more = len(processes) - _NAMED
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _signed(value: int) -> int:
    """The int that a register holds."""
    value &= 0xFFFF_FFFF
    return value - (1 << 32) if value & 0x8000_0000 else value
