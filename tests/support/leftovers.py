"""Looks for what a test's builds left behind: processes, mounts in any namespace, bundles, cgroups."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

VARIABLE = "TVIXBUILD_NB_TEST_MARK"


@dataclass(slots=True)
class Leftovers:
    """What still bears the marks of one test.

    ``mark`` is in the environment of every process the test starts; ``places`` are directories only this test uses:
    a mount at or from below one of them, in whichever mount namespace, is its own; so is every new descendant of the
    test process, but for what a program that was there before starts (the session's browser). The keeper which that
    process keeps for its next build (outer, inner and the file system server) is no leftover; a supervisor, a view or
    a mount in it is, but for the views of a test that says ``warm``.
    """

    mark: str
    places: list[Path] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    warm: bool = False
    _before: set[int] = field(default_factory=lambda: set(_descendants(os.getpid())))

    def watch(self, *places: Path) -> None:
        """Also look below these directories, for what is not there now."""
        self.places.extend(places)
        self.known.update(_bundles(list(places)))

    def find(self) -> list[str]:
        """One line for each leftover, empty when there is none."""
        found: list[str] = []
        places = [str(place) for place in self.places]
        seen: set[str] = set()
        below = _descendants(os.getpid())
        for pid in _pids():
            found.extend(self._process(pid, pid in below and pid not in self._before and not self._of_another(pid)))
            mounts = _mounts(pid, places, seen)
            found.extend(line for line in mounts if not (self.warm and ".views/" in line))
        found.extend(bundle for bundle in _bundles(self.places) if bundle not in self.known)
        return found

    def wait(self, seconds: float = 5.0) -> list[str]:
        """What is left after at most ``seconds``: the ends of processes take their time."""
        deadline = time.monotonic() + seconds
        while (found := self.find()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def _of_another(self, pid: int) -> bool:
        """Whether a program from before this test, no keeper of ours, is an ancestor."""
        owner = os.getpid()
        while (pid := _parent(pid)) > 1 and pid != owner:
            if pid in self._before and b"tvixbuild_nb" not in _read(pid, "cmdline"):
                return True
        return False

    def _process(self, pid: int, new: bool) -> list[str]:
        marked = f"{VARIABLE}={self.mark}".encode() in _read(pid, "environ").split(b"\0")
        if pid == os.getpid() or not (marked or new):
            return []
        if _state(pid) in ("Z", "X", "") or _resident(pid, os.getpid(), self.warm):
            return []
        command = _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace")[:200]
        return [f"process {pid}: {command}"]


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _state(pid: int) -> str:
    return _read(pid, "stat").rpartition(b")")[2][1:2].decode()


def _parent(pid: int) -> int:
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def _descendants(pid: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for other in _pids():
        children.setdefault(_parent(other), []).append(other)
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found.update(below)
        waiting.extend(below)
    return found


def _resident(pid: int, owner: int, warm: bool) -> bool:
    """Whether ``pid`` belongs to what the living ``owner``'s keeper consists of between builds."""
    line = []
    spare = _read(pid, "comm") == b"tvixbuild-spare\n"
    while pid > 1 and pid != owner:
        line.append("server" if b"tvixbuild_nb.fs.server" in (command := _read(pid, "cmdline")) else "")
        line[-1] = line[-1] or ("keeper" if b"tvixbuild_nb.keeper.outer" in command else "other")
        pid = _parent(pid)
    kinds = line[::-1]
    resident = [["keeper"], ["keeper", "keeper"], ["keeper", "keeper", "server"]]
    # Outer and inner come first; whatever else inner forks is a build's supervisor, or the next one's.
    if kinds == ["keeper", "keeper", "server", "server"]:
        return warm or spare
    if kinds == ["keeper", "keeper", "keeper"]:
        return spare
    return pid == owner and kinds in resident


def _mounts(pid: int, places: list[str], seen: set[str]) -> list[str]:
    try:
        namespace = os.readlink(f"/proc/{pid}/ns/mnt")
    except OSError:
        return []
    if namespace in seen:
        return []
    seen.add(namespace)
    lines = _read(pid, "mountinfo").decode(errors="surrogateescape").splitlines()
    return [f"mount seen by process {pid}: {line}" for line in lines if any(place in line for place in places)]


def _bundles(places: list[Path]) -> list[str]:
    """Bundles below the watched places: a directory with config.json beside root/ and scratch/."""
    found = []
    for place in places:
        for directory, names, files in os.walk(place):
            if "config.json" in files and {"root", "scratch"} <= set(names):
                found.append(f"bundle: {directory}")
                names.clear()
    return found
