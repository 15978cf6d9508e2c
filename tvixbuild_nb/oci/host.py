"""What this host has, probed once for SpecOptions.for_host(): a static shell, subordinate ids, kernel features."""

from __future__ import annotations

import os
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from tvixbuild_nb.oci import facts
from tvixbuild_nb.oci.options import IdMapping, Problem
from tvixbuild_nb.oci.spec import User

SHELL_VARIABLE = "TVIXBUILD_NB_SANDBOX_SHELL"
SHELLS = ("/bin/busybox", "/usr/bin/busybox", "/bin/busybox.static")
# systemd's table of ids ends its last container range here; nothing hands out what comes after.
UNLISTED_IDS = 1_879_048_192
LAST_ID = 2**31 - 2
PT_INTERP = 3
# The kernel knows recursive read-only binds (mount_setattr) since then.
RECURSIVE_READONLY_SINCE = (5, 12)

Range = tuple[int, int]


def probe(*, namespaces: bool, user: Any = None) -> dict[str, Any]:
    """The fields of SpecOptions that this host decides. Reads a few small files; never fails."""
    who = User(uid=facts.UID, gid=facts.GID) if user is None else User.model_validate(user)
    fields: dict[str, Any] = {}
    problems: list[Problem] = []
    if (shell := find_shell()) is not None:
        fields["sandbox_shell"] = shell
    else:
        problems.append(_no_shell())
    if sys.platform == "linux":
        problems += _identities(fields, who, namespaces)
        fields["cgroup_namespace"] = os.path.exists("/proc/self/ns/cgroup")
        fields["network_files"] = tuple(path for path in facts.NETWORK_FILES if os.path.exists(path))
        fields["sys_recursively_readonly"] = _kernel() >= RECURSIVE_READONLY_SINCE
    else:
        problems.append(
            Problem(
                kind="linux",
                message=f"builds need Linux, this is {sys.platform}",
                hint="rendering works here; build on a Linux machine (grpc+... or a container)",
            )
        )
    fields["problems"] = tuple(problems)
    return fields


def find_shell() -> str | None:
    """A static shell's real path, or None: TVIXBUILD_NB_SANDBOX_SHELL, else busybox where distributions put it."""
    configured = os.environ.get(SHELL_VARIABLE)
    for candidate in (configured,) if configured else SHELLS:
        if is_static(candidate):
            return os.path.realpath(candidate)
    return None


def is_static(path: str) -> bool:
    """Whether ``path`` is an executable ELF file that asks for no interpreter."""
    try:
        with open(path, "rb") as file:
            if not os.access(path, os.X_OK):
                return False
            head = file.read(64)
            if len(head) < 52 or head[:4] != b"\x7fELF":
                return False
            wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
            (table,) = struct.unpack_from(order + ("Q" if wide else "I"), head, 32 if wide else 28)
            size, count = struct.unpack_from(order + "HH", head, 54 if wide else 42)
            file.seek(table)
            headers = file.read(size * count)
            kinds = [struct.unpack_from(order + "I", headers, size * number)[0] for number in range(count)]
    except (OSError, ValueError, struct.error):
        return False
    return len(headers) == size * count and bool(kinds) and PT_INTERP not in kinds


def cgroup_layout(root: str = "/sys/fs/cgroup") -> Literal["v2", "hybrid", "v1", "none"]:
    """How cgroups are mounted: one hierarchy (v2), one for each controller (v1), both, or not at all."""
    if os.path.exists(f"{root}/cgroup.controllers"):
        return "v2"
    if os.path.exists(f"{root}/unified/cgroup.controllers"):
        return "hybrid"
    return "v1" if any(os.path.isdir(f"{root}/{name}") for name in ("memory", "pids", "cpu")) else "none"


def _identities(fields: dict[str, Any], who: User, namespaces: bool) -> Iterator[Problem]:
    caller, groups = os.geteuid(), os.getegid()
    for kind, caller_id, inside in (("uid", caller, who.uid), ("gid", groups, who.gid)):
        listed = listed_ranges(f"/etc/sub{kind}", caller)
        if caller == 0:
            start = two_ids(f"/etc/sub{kind}", f"/proc/self/{kind}_map", listed)
            maps = None if start is None else (start, start + 1)
        elif namespaces:
            # In the keeper's user namespace the caller is 0 and the subordinate range starts at 1.
            maps = (0, 1) if listed else None
        else:
            maps = (caller_id, listed[0][0]) if listed else None
        if maps is None:
            yield _no_range(kind, caller)
            continue
        mappings = [IdMapping(container_id=0, host_id=maps[0])]
        if inside != 0:
            mappings.append(IdMapping(container_id=inside, host_id=maps[1]))
        fields[f"{kind}_mappings"] = tuple(mappings)
    if caller != 0 and shutil.which("newuidmap", path=_search_path()) is None:
        yield Problem(
            kind="newuidmap",
            message="newuidmap is not installed; without it nobody but root can map subordinate ids",
            hint="sudo apt-get install uidmap",
        )


def _search_path() -> str:
    return os.pathsep.join((os.environ.get("PATH", ""), "/usr/bin", "/bin", "/usr/sbin", "/sbin"))


def listed_ranges(path: str, uid: int) -> list[Range]:
    """The (start, count) ranges of a user in /etc/subuid or /etc/subgid, both of which name users."""
    names = {str(uid)}
    try:
        import pwd

        names.add(pwd.getpwuid(uid).pw_name)
    except (ImportError, KeyError):
        pass
    return [(start, count) for name, start, count in _entries(path) if name in names and count > 0]


def _entries(path: str) -> Iterator[tuple[str, int, int]]:
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        parts = line.strip().split(":")
        if len(parts) == 3 and parts[1].isdigit() and parts[2].isdigit():
            yield parts[0], int(parts[1]), int(parts[2])


def two_ids(path: str, map_path: str, listed: list[Range]) -> int | None:
    """The first of two neighbouring ids that nobody has: root's own range, else an unlisted high one."""
    mapped = list(_extents(map_path))
    taken = [(start, start + count) for _, start, count in _entries(path)]
    high = max([UNLISTED_IDS, *(end for _, end in taken if end < LAST_ID)])
    # In a user namespace (a rootless container) only its own ids exist: near the end of the last range.
    within = [start + count - 16 for start, count in mapped if count > 1016]
    for candidate in [*(start for start, count in listed if count >= 2), high, *reversed(within)]:
        if candidate > 0 and any(start <= candidate and candidate + 2 <= start + count for start, count in mapped):
            return candidate
    return None


def _extents(path: str) -> Iterator[Range]:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        lines = []
    for line in lines or ["0 0 4294967295"]:
        start, _, count = map(int, line.split())
        yield start, count


def _no_range(kind: str, uid: int) -> Problem:
    try:
        import pwd

        name = pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError):
        name = str(uid)
    taken = [(start, start + count) for file in ("subuid", "subgid") for _, start, count in _entries(f"/etc/{file}")]
    start = max([100_000, *(end for _, end in taken)])
    free = f"{start}-{start + 65535}"
    return Problem(
        kind="uid-range" if kind == "uid" else "gid-range",
        message=f"{name} has no range of subordinate ids in /etc/sub{kind}",
        hint=f"sudo usermod --add-subuids {free} --add-subgids {free} {name}",
    )


def _no_shell() -> Problem:
    configured = os.environ.get(SHELL_VARIABLE)
    if configured:
        return Problem(
            kind="sandbox-shell",
            message=f"{SHELL_VARIABLE}={configured} is no static executable",
            hint="a sandbox has no libraries: name a statically linked shell",
        )
    return Problem(
        kind="sandbox-shell",
        message="this host has no static shell for /bin/sh",
        hint=f"sudo apt-get install busybox-static, or set {SHELL_VARIABLE} to a statically linked shell",
    )


def _kernel() -> tuple[int, int]:
    numbers = os.uname().release.split(".")
    try:
        return int(numbers[0]), int(numbers[1].split("-")[0])
    except (ValueError, IndexError):
        return (0, 0)
