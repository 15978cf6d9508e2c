"""What a container looks like from outside while it waits to be started."""

from __future__ import annotations

import os
import re
from typing import Any

_TEXTS = ("status", "uid_map", "gid_map", "mountinfo", "limits", "cgroup")
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")


def inside(pid: int) -> dict[str, Any]:
    """The kernel's texts about ``pid`` as they are, its namespaces, and the modes of its mount points."""
    base = f"/proc/{pid}"
    found: dict[str, Any] = {}
    for name in _TEXTS:
        with open(f"{base}/{name}", encoding="utf-8", errors="surrogateescape") as file:
            found[name] = file.read()
    found["namespaces"] = {name: os.readlink(f"{base}/ns/{name}") for name in _NAMESPACES}
    found["modes"] = {}
    for line in found["mountinfo"].splitlines():
        destination = line.split(" ")[4]
        try:
            # lstat: the last component is never followed, and the others were made by us.
            status = os.lstat(f"{base}/root{unescape(destination)}")
        except OSError as error:
            found["modes"][destination] = {"error": error.strerror}
            continue
        found["modes"][destination] = {"mode": status.st_mode, "uid": status.st_uid, "gid": status.st_gid}
    return found


def unescape(text: str) -> str:
    """A field of mountinfo as it is meant: the kernel writes blanks and backslashes as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def catches(pid: int, signal: int) -> bool:
    """Whether ``pid`` has a handler for ``signal``; the first process of a namespace ignores it otherwise."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            caught = next(line for line in file if line.startswith("SigCgt:"))
    except (FileNotFoundError, ProcessLookupError, StopIteration):
        return False
    return bool(int(caught.split()[1], 16) >> (signal - 1) & 1)


def other_processes(init: int) -> list[int]:
    """The processes in init's pid namespace except init itself."""
    try:
        namespace = os.readlink(f"/proc/{init}/ns/pid")
    except OSError:
        return []
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == init:
            continue
        try:
            if os.readlink(f"/proc/{name}/ns/pid") == namespace:
                found.append(int(name))
        except OSError:
            continue
    return found


def children_of(pid: int) -> list[int]:
    """The processes whose parent is ``pid``, zombies included."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found.append(int(name))
    return found
