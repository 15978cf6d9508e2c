"""One parent cgroup per build: exact usage, limits that hold, nothing left behind.

The runtime makes its own cgroup below ours and removes it; ours outlives it and is read at the end.
On version 1 and hybrid hosts each hierarchy has its own directory, on version 2 there is one.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from tvixbuild_nb.keeper.trees import remove

PATIENCE = 1.0
_WANTED = ("memory", "pids", "cpu")


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """Where cgroups are mounted: version 1 controller -> directory, and the version 2 directory.

    ``covered`` is where the version 2 side would be, had this keeper not put a file system of its own over it.
    """

    v1: dict[str, str]
    v2: str | None
    covered: str | None = None

    @property
    def pure_v2(self) -> bool:
        return self.v2 is not None and not self.v1

    @property
    def hybrid(self) -> bool:
        return self.v2 is not None and bool(self.v1)

    def directories(self) -> list[str]:
        """Every hierarchy's directory, once."""
        return list(dict.fromkeys([*self.v1.values(), *([self.v2] if self.v2 else [])]))


def hierarchies(mountinfo: str = "/proc/self/mountinfo") -> Hierarchies:
    """Read the cgroup mounts of this mount namespace."""
    v1: dict[str, str] = {}
    v2: str | None = None
    covered: str | None = None
    with open(mountinfo, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields, _, tail = line.partition(" - ")
            kind, _, options = tail.split(" ", 2)
            directory = fields.split(" ")[4]
            if kind == "cgroup2":
                v2 = directory
            elif kind == "cgroup":
                for option in options.strip().split(","):
                    if option not in ("rw", "ro", "xattr", "noprefix", "clone_children"):
                        v1.setdefault(option, directory)
            elif directory == v2:
                v2, covered = None, v2
    return Hierarchies(v1, v2, covered)


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None


class BuildCgroup:
    """The parent cgroup ``/name`` of one build in every hierarchy.

    ``create`` raises OSError with the kernel's reason where cgroups cannot be written; the runtime
    is given ``/name/c``.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._where = hierarchies()

    def create(self) -> None:
        where = self._where
        if where.pure_v2:
            assert where.v2 is not None
            directory = os.path.join(where.v2, self.name)
            self._delegate(where.v2)
            os.mkdir(directory)
            self._delegate(directory)
            return
        if not where.v1:
            raise FileNotFoundError(2, "no cgroup hierarchy is mounted", "/sys/fs/cgroup")
        for controller in ("memory", "cpuacct", "cpu", "pids"):
            if controller in where.v1:
                os.makedirs(os.path.join(where.v1[controller], self.name), exist_ok=True)

    def _delegate(self, directory: str) -> None:
        available = (_read(os.path.join(directory, "cgroup.controllers")) or "").split()
        enabled = (_read(os.path.join(directory, "cgroup.subtree_control")) or "").split()
        missing = [name for name in _WANTED if name in available and name not in enabled]
        if missing:
            with open(os.path.join(directory, "cgroup.subtree_control"), "w", encoding="ascii") as file:
                file.write(" ".join(f"+{name}" for name in missing))

    def usage(self) -> dict[str, Any]:
        """peak_memory in bytes, cpu in seconds, oom_kills; a key is absent where the kernel has no such file."""
        where = self._where
        found: dict[str, Any] = {}
        if where.pure_v2:
            assert where.v2 is not None
            base = os.path.join(where.v2, self.name)
            peak = _read(os.path.join(base, "memory.peak"))
            stat = dict(line.split() for line in (_read(os.path.join(base, "cpu.stat")) or "").splitlines())
            events = dict(line.split() for line in (_read(os.path.join(base, "memory.events")) or "").splitlines())
            cpu = int(stat["usage_usec"]) / 1e6 if "usage_usec" in stat else None
            kills = events.get("oom_kill")
        else:
            peak = self._v1("memory", "", "memory.max_usage_in_bytes")
            nanoseconds = self._v1("cpuacct", "", "cpuacct.usage")
            cpu = int(nanoseconds) / 1e9 if nanoseconds else None
            control = self._v1("memory", "c", "memory.oom_control") or ""
            kills = dict(line.split() for line in control.splitlines()).get("oom_kill")
        if peak is not None:
            found["peak_memory"] = int(peak)
        if cpu is not None:
            found["cpu"] = cpu
        if kills is not None:
            found["oom_kills"] = int(kills)
        return found

    def now(self) -> dict[str, Any]:
        """As :meth:`usage`, and memory (bytes, file caches included) and pids in use at this moment."""
        where = self._where
        if where.pure_v2:
            assert where.v2 is not None
            base = os.path.join(where.v2, self.name)
            memory, pids = (_read(os.path.join(base, name)) for name in ("memory.current", "pids.current"))
        else:
            memory = self._v1("memory", "", "memory.usage_in_bytes")
            pids = self._v1("pids", "", "pids.current")
        figures = {"memory": memory, "pids": pids}
        return self.usage() | {name: int(text) for name, text in figures.items() if text is not None}

    def _v1(self, controller: str, child: str, file: str) -> str | None:
        base = self._where.v1.get(controller)
        return None if base is None else _read(os.path.join(base, self.name, child, file))

    def remove(self) -> None:
        """Remove it, the runtime's own cgroup included; idempotent. Waits a little for processes that are dying."""
        deadline = time.monotonic() + PATIENCE
        while self._remove_once() and time.monotonic() < deadline:
            time.sleep(0.01)

    def _remove_once(self) -> bool:
        """Remove what is empty of it; whether something still had a process."""
        busy = False
        if self._where.covered is not None:
            # Plain files, where crun believed a cgroup to be.
            remove(os.path.join(self._where.covered, self.name))
        for base in self._where.directories():
            top = os.path.join(base, self.name)
            busy |= not (_rmdir(os.path.join(top, "c")) and _rmdir(top)) and _remove_below(top)
        return busy


def _rmdir(path: str) -> bool:
    """Remove one cgroup; whether it is gone now."""
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _remove_below(top: str) -> bool:
    """Remove what is empty at and below ``top``; whether something is left."""
    directories = sorted((directory for directory, _, _ in os.walk(top)), key=len, reverse=True)
    return bool([directory for directory in directories if not _rmdir(directory)])


def why_not() -> str | None:
    """None when a build's cgroup can be made here, else the kernel's reason."""
    cgroup = BuildCgroup(f"tvixbuild-nb-probe-{os.getpid()}-{os.urandom(4).hex()}")
    try:
        cgroup.create()
    except OSError as error:
        return f"{error.strerror}: {os.path.dirname(str(error.filename))}"
    finally:
        cgroup.remove()
    return None
