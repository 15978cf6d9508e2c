"""What the kernel said about mounts, put beside what was planned.

mountinfo repeats the options that were asked for (``mode=`` of a tmpfs, say); what is in force can differ: a mode comes
from the mount point, a flag gets lost on a remount. So flags are taken from the mount, modes from the directory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from tvixbuild_nb.oci.layout import covers

# runtime-spec, config-linux.md: what a runtime makes in /dev unasked.
DEFAULT_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "console")
_FLAGS = ("nosuid", "noexec", "nodev", "noatime", "relatime")


@dataclass(frozen=True, slots=True)
class SeenMount:
    """One mount as the process has it: ``options`` its own, ``super_options`` its file system's.

    ``mode`` (permission bits and sticky bit), ``uid`` and ``gid`` of what is at the destination, as seen from the
    keeper; None where they could not be read (``error`` says why), or where another mount hides them.
    """

    destination: str
    type: str
    source: str
    root: str
    options: tuple[str, ...]
    super_options: tuple[str, ...]
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    error: str | None = None

    @property
    def writable(self) -> bool:
        """Whether mount and file system take writes."""
        return "ro" not in self.options and "ro" not in self.super_options


@dataclass(frozen=True, slots=True)
class UnplannedMount:
    """A mount that no row asked for, and why it is there."""

    seen: SeenMount
    why: str


def differences(kind: str, options: Sequence[str], seen: SeenMount, below: Sequence[SeenMount] = ()) -> tuple[str, ...]:
    """What was asked for on a mount of type ``kind`` and is not in force; ``below``: mounts that came with it."""
    return tuple(_differences(kind, options, seen, below))


def _differences(kind: str, options: Sequence[str], seen: SeenMount, below: Sequence[SeenMount]) -> Iterator[str]:
    if kind not in ("none", seen.type) and not (kind == "cgroup" and seen.type in ("cgroup2", "tmpfs")):
        yield f"type {kind} asked for, {seen.type} in force"
    if {"ro", "rro"} & set(options) and seen.writable:
        yield "ro asked for, rw in force"
    if "rw" in options and not seen.writable:
        yield "rw asked for, ro in force"
    for flag in _FLAGS:
        if flag in options and flag not in seen.options:
            yield f"{flag} asked for, not in force"
    if "strictatime" in options and {"relatime", "noatime"} & set(seen.options):
        yield "strictatime asked for, not in force"
    if "rro" in options:
        for mount in below:
            if mount.writable:
                yield f"rro asked for, {mount.destination} below it is writable"
    asked = dict(option.split("=", 1) for option in options if "=" in option)
    told = dict(option.split("=", 1) for option in seen.super_options if "=" in option)
    if "mode" in asked and kind == "tmpfs" and seen.mode is not None and int(asked["mode"], 8) != seen.mode:
        yield f"mode {int(asked['mode'], 8):04o} asked for, {seen.mode:04o} in force"
    in_octal = ("ptmxmode", "mode") if kind == "devpts" else ()
    for name in in_octal:
        if name in asked and name in told and int(asked[name], 8) != int(told[name], 8):
            yield f"{name}={asked[name]} asked for, {told[name]} in force"
    for name in ("size", "gid"):
        if name in asked and name in told and asked[name] != told[name]:
            yield f"{name}={asked[name]} asked for, {told[name]} in force"


def pair(destinations: Sequence[str], seen: Sequence[SeenMount]) -> dict[int, int]:
    """Planned position -> seen position: of several at one destination the last belongs to the last."""
    places: dict[str, list[int]] = {}
    for number, mount in enumerate(seen):
        places.setdefault(mount.destination, []).append(number)
    found: dict[int, int] = {}
    for position in reversed(range(len(destinations))):
        if there := places.get(destinations[position]):
            found[position] = there.pop()
    return found


def why_unplanned(
    mount: SeenMount,
    planned: Sequence[tuple[str, str, Collection[str]]],
    masked: Collection[str] = (),
    readonly: Collection[str] = (),
) -> str:
    """Why a mount is there that was not in the list; ``planned`` holds (destination, type, options) in mount order."""
    path = mount.destination
    if path == "/":
        return "the root file system: the bundle's root/"
    if path in masked:
        return "a masked path: something empty lies over it"
    if path in readonly:
        return "a read-only path: bound over itself without writing"
    if path.startswith("/dev/") and path.removeprefix("/dev/") in DEFAULT_DEVICES:
        return "a default device, bound from the host by the runtime"
    for destination, kind, options in reversed(planned):
        if not covers(destination, path):
            continue
        if kind == "cgroup":
            return f"a cgroup hierarchy below {destination}"
        if "rbind" in options:
            return f"came along with the recursive bind at {destination}"
    return "made by the runtime"
