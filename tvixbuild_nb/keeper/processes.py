"""The processes of a container as the kernel tells about them: plain facts, which others make sense of."""

from __future__ import annotations

import os
from typing import Any

from tvixbuild_nb.keeper.inspect import other_processes

MOST = 500
# Bytes of a command line, and descriptors of one process.
_COMMAND = 512
_FILES = 24
_MODES = {os.O_RDONLY: "r", os.O_WRONLY: "w", os.O_RDWR: "rw"}


def processes(init: int) -> list[dict[str, Any]]:
    """One for each process in the pid namespace of ``init``, ``init`` first; at most ``MOST``.

    ``pid`` and ``parent`` as they are known inside (a parent outside is 0), ``name``, ``command`` (its words),
    ``state`` (the kernel's letter), ``age`` and ``cpu`` in seconds, ``memory`` in bytes, ``threads`` (a letter each),
    ``cwd``, ``call`` (number and arguments of the system call it is in, None where it is in none), ``where`` (the
    kernel's function it waits in), ``bits`` (64 or 32), ``files`` (number, what it is, r, w or rw).
    """
    found = []
    ids = [init, *sorted(other_processes(init))]
    inside = {pid: _inside(pid) for pid in ids}
    for pid in ids[:MOST]:
        try:
            found.append(_process(pid, inside))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended just now
    return found


def _process(pid: int, inside: dict[int, int]) -> dict[str, Any]:
    name, _, rest = _read(pid, "stat").partition("(")[2].rpartition(")")
    fields = rest.split()
    ticks = os.sysconf("SC_CLK_TCK")
    return {
        "pid": inside[pid],
        "parent": inside.get(int(fields[1]), 0),
        "name": name,
        "command": _read(pid, "cmdline", _COMMAND).rstrip("\0").split("\0"),
        "state": fields[0],
        "age": round(max(0.0, _uptime() - int(fields[19]) / ticks), 2),
        "cpu": (int(fields[11]) + int(fields[12])) / ticks,
        "memory": int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        "threads": _threads(pid),
        "cwd": _link(pid, "cwd"),
        "call": _call(pid),
        "where": _optional(pid, "wchan"),
        "bits": _bits(pid),
        "files": _files(pid),
    }


def _inside(pid: int) -> int:
    """The number by which ``pid`` is known in its own namespace."""
    try:
        line = next(line for line in _read(pid, "status").splitlines() if line.startswith("NSpid:"))
    except (FileNotFoundError, ProcessLookupError, StopIteration):
        return 0
    return int(line.split()[-1])


def _uptime() -> float:
    with open("/proc/uptime", encoding="ascii") as file:
        return float(file.read().split()[0])


def _threads(pid: int) -> str:
    states = ""
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            states += _read(pid, f"task/{thread}/stat").rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return states


def _call(pid: int) -> list[int] | None:
    words = (_optional(pid, "syscall") or "").split()
    # "running", or -1 for who waits outside of any call.
    if len(words) < 7 or not words[0].isdigit():
        return None
    return [int(words[0]), *(int(word, 16) for word in words[1:7])]


def _bits(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/exe", "rb") as file:
            return 32 if file.read(5)[4:] == b"\x01" else 64
    except OSError:
        return 64


def _files(pid: int) -> list[tuple[int, str, str]]:
    try:
        numbers = sorted(int(name) for name in os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return []
    found = []
    for number in numbers[:_FILES]:
        target = _link(pid, f"fd/{number}")
        flags = (_optional(pid, f"fdinfo/{number}") or "").partition("flags:")[2].split()
        if target is not None and flags:
            found.append((number, target, _MODES.get(int(flags[0], 8) & os.O_ACCMODE, "r")))
    return found


def _link(pid: int, name: str) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/{name}")
    except OSError:
        return None


def _optional(pid: int, name: str) -> str | None:
    """What a file of /proc says that is not to be read of every process; None where it is not."""
    try:
        return _read(pid, name)
    except OSError:
        return None


def _read(pid: int, name: str, size: int = -1) -> str:
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read(size).decode("utf-8", "backslashreplace")
