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
    a mount at or from below one of them, in whichever mount namespace, is its own. The keeper a test process keeps for
    its next build is no leftover while that process lives; a mount in it is.
    """

    mark: str
    places: list[Path] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    def watch(self, *places: Path) -> None:
        """Also look below these directories, for what is not there now."""
        self.places.extend(places)
        self.known.update(_bundles(list(places)))

    def find(self) -> list[str]:
        """One line for each leftover, empty when there is none."""
        found: list[str] = []
        places = [str(place) for place in self.places]
        seen: set[str] = set()
        for pid in _pids():
            found.extend(self._process(pid))
            found.extend(_mounts(pid, places, seen))
        found.extend(bundle for bundle in _bundles(self.places) if bundle not in self.known)
        return found

    def wait(self, seconds: float = 5.0) -> list[str]:
        """What is left after at most ``seconds``: the ends of processes take their time."""
        deadline = time.monotonic() + seconds
        while (found := self.find()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def _process(self, pid: int) -> list[str]:
        if pid == os.getpid():
            return []
        environment = _read(pid, "environ")
        if f"{VARIABLE}={self.mark}".encode() not in environment.split(b"\0"):
            return []
        if _state(pid) in ("Z", "X", "") or _serves(pid, os.getpid()):
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


def _serves(pid: int, owner: int) -> bool:
    """Whether ``pid`` is the living ``owner``'s keeper, or the file system process beside it."""
    if b"tvixbuild_nb" not in _read(pid, "cmdline"):
        return False
    while pid > 1:
        pid = _parent(pid)
        if pid == owner:
            return True
    return False


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
