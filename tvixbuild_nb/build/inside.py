"""Inside: what the kernel said about the sandbox's first process just before it was started."""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tvixbuild_nb.display import mimebundle, plain, register
from tvixbuild_nb.keeper.inspect import unescape
from tvixbuild_nb.oci import SeenMount


@dataclass(frozen=True, slots=True)
class MountInfo:
    """One line of /proc/PID/mountinfo, see proc(5); options are the mount's own, super_options its file system's."""

    mount_id: int
    parent_id: int
    root: str
    destination: str
    options: tuple[str, ...]
    type: str
    source: str
    super_options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IdRange:
    """``size`` ids: from ``container_id`` inside are from ``host_id`` in the parent user namespace."""

    container_id: int
    host_id: int
    size: int


@dataclass(frozen=True, slots=True)
class Inside:
    """The sandbox as its process has it: status, id maps, namespaces, mounts, limits, modes of mount points.

    ``namespaces`` are kernel identities such as ``pid:[4026532213]``; ``modes`` gives for each mount
    destination mode, uid and gid as seen from the keeper, or the error that reading them gave.
    """

    status: dict[str, str]
    uid_map: tuple[IdRange, ...]
    gid_map: tuple[IdRange, ...]
    namespaces: dict[str, str]
    mountinfo: tuple[MountInfo, ...]
    limits: dict[str, tuple[str, str, str]]
    cgroup: tuple[str, ...]
    modes: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, path: Path) -> Inside | None:
        """From the file the keeper wrote; None when the build was not observed."""
        try:
            return cls.from_json(path.read_text("utf-8", "surrogateescape"))
        except FileNotFoundError:
            return None

    @classmethod
    def from_json(cls, text: str) -> Inside:
        """From what the keeper wrote."""
        texts = json.loads(text)
        return cls(
            status=parse_status(texts["status"]),
            uid_map=_id_map(texts["uid_map"]),
            gid_map=_id_map(texts["gid_map"]),
            namespaces=texts["namespaces"],
            mountinfo=tuple(_mount(line) for line in texts["mountinfo"].splitlines()),
            limits=parse_limits(texts["limits"]),
            cgroup=tuple(texts["cgroup"].splitlines()),
            modes=texts["modes"],
        )

    def __str__(self) -> str:
        maps = [
            f"{kind} {inside.container_id} is {inside.host_id} outside ({inside.size})"
            for kind, ranges in (("uid", self.uid_map), ("gid", self.gid_map))
            for inside in ranges
        ]
        mounts = [f"{mount.destination}  {mount.type}  {','.join(mount.options)}" for mount in self.mountinfo]
        limits = [f"{name}: {soft} / {hard} {unit}".rstrip() for name, (soft, hard, unit) in self.limits.items()]
        sections = {
            "ids": maps,
            "namespaces": sorted(self.namespaces.values()),
            "capabilities": [f"{name}: {value}" for name, value in self.status.items() if name.startswith("Cap")],
            "mounts": mounts,
            "limits (soft / hard)": limits,
        }
        return "\n".join("\n  ".join([f"{title}:", *lines]) for title, lines in sections.items())

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)

    def mount(self, destination: str) -> MountInfo | None:
        """The mount in force at ``destination`` (the last one there), or None."""
        found = [mount for mount in self.mountinfo if mount.destination == destination]
        return found[-1] if found else None

    def seen(self) -> tuple[SeenMount, ...]:
        """The mounts in the kernel's order, each with what stood at its destination, for a mount table."""
        # The keeper's keys are as mountinfo writes them.
        modes = {unescape(path): status for path, status in self.modes.items()}
        return tuple(_seen(mount, modes.get(mount.destination, {})) for mount in self.mountinfo)


def _seen(mount: MountInfo, status: dict[str, Any]) -> SeenMount:
    mode = status.get("mode")
    return SeenMount(
        destination=mount.destination,
        type=mount.type,
        source=mount.source,
        root=mount.root,
        options=mount.options,
        super_options=mount.super_options,
        mode=None if mode is None else stat.S_IMODE(mode),
        uid=status.get("uid"),
        gid=status.get("gid"),
        error=status.get("error"),
    )


def parse_status(text: str) -> dict[str, str]:
    """/proc/PID/status as name -> value."""
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def parse_limits(text: str) -> dict[str, tuple[str, str, str]]:
    """/proc/PID/limits as name -> (soft, hard, unit)."""
    return dict(_limit(line) for line in text.splitlines()[1:])


def _id_map(text: str) -> tuple[IdRange, ...]:
    return tuple(IdRange(*(int(part) for part in line.split())) for line in text.splitlines())


def _mount(line: str) -> MountInfo:
    fields, _, tail = line.partition(" - ")
    mount_id, parent_id, _, root, destination, options, *_ = fields.split(" ")
    kind, source, super_options = tail.split(" ", 2)
    return MountInfo(
        int(mount_id),
        int(parent_id),
        unescape(root),
        unescape(destination),
        tuple(options.split(",")),
        kind,
        unescape(source),
        tuple(super_options.split(",")),
    )


def _limit(line: str) -> tuple[str, tuple[str, str, str]]:
    # Columns of fixed width: name 26, soft 21, hard 21, unit 10.
    return line[:26].strip(), (line[26:47].strip(), line[47:68].strip(), line[68:].strip())


register(Inside, plain)
