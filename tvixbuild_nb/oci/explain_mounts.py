"""What is said about mounts: by destination for the sandbox's own, by kind for those the request asks for."""

from __future__ import annotations

from tvixbuild_nb.oci.explanation import Place, Reference, Rule
from tvixbuild_nb.oci.meanings import MOUNT_OPTIONS, MOUNT_VALUES, Meaning

_MOUNTS = Reference("config.md", "Mounts", "configMounts")
_OPTIONS = Reference("config.md", "Linux mount options", "configLinuxMountOptions")

SANDBOX: dict[str, Meaning] = {
    "/proc": (
        "processes and the kernel's state as files; with a pid namespace only the sandbox's own processes",
        "programs that look at /proc fail: shells, compilers, most languages' run times",
    ),
    "/dev": (
        "an empty file system in memory, in which the runtime makes the few devices everybody may have (null, zero, "
        "full, random, urandom, tty)",
        "there would be no /dev/null",
    ),
    "/dev/pts": ("pseudo-terminals", "programs that make a terminal, such as expect or script, fail"),
    "/dev/shm": ("shared memory by name (shm_open), at most 64 MiB", "programs that share memory by name fail"),
    "/dev/mqueue": ("POSIX message queues of the sandbox's own", "programs that use message queues fail"),
    "/sys": (
        "the kernel's view of the machine: devices, and what they can do; to be read only",
        "programs that ask how many CPUs there are would guess",
    ),
    "/sys/fs/cgroup": (
        "the limits under which the build runs, to be read only",
        "language run times that size themselves by their cgroup's memory would take the whole machine's",
    ),
    "/tmp": (
        "files in memory, gone when the build ends",
        "there would be no /tmp: root is read-only, and compilers write temporary files",
    ),
}

KINDS: dict[str, Meaning] = {
    "scratch": (
        "a directory of this run that may be written to; outputs come from here",
        "the build could not write here, and an output below it could not exist",
    ),
    "input": ("an input of the request, from the store, to be read only", "the input would not be there"),
    "ro_path": (
        "a path of the host, to be read only; what it holds is not part of the request's digest",
        "the path would not be there",
    ),
    "shell": ("a static shell of the host as /bin/sh", "there would be no shell: a command would have to do without"),
    "network": ("a file of the host that programs need to use its network", "names of hosts could not be looked up"),
}


def _meaning(place: Place) -> Meaning:
    mount = place.mount
    if mount.kind == "sandbox":
        return SANDBOX[mount.destination]
    return KINDS[mount.kind]


def _asked(place: Place) -> str:
    mount = place.mount
    return "default, as Tvix has it" if mount.kind == "sandbox" else mount.asked_for_by


def _destination_asked(place: Place) -> str:
    mount = place.mount
    return f"{mount.asked_for_by}, inputs_dir" if mount.kind == "input" else _asked(place)


def _type(place: Place) -> str:
    if place.value == "none":
        return "no file system of its own: part of one that exists is shown here (a bind mount)"
    return f"a new {place.value} file system"


def _source(place: Place) -> str:
    if place.mount.mount.type != "none":
        return "a name that stands in the list of mounts; nothing is read from it"
    if place.value.startswith("/"):
        return "the path on the host that is shown"
    return "the path in the bundle that is shown"


def _source_asked(place: Place) -> str:
    if place.mount.kind == "shell":
        return "options.sandbox_shell (this host's static shell)"
    return _asked(place)


def _option_meaning(place: Place) -> Meaning:
    name, _, value = place.value.partition("=")
    if name == "mode" and place.mount.mount.type == "devpts":
        return f"permission bits of each terminal: {value}", "the kernel's default mode would stand"
    if value and name in MOUNT_VALUES:
        what, without = MOUNT_VALUES[name]
        return what.format(value=value), without
    return MOUNT_OPTIONS.get(place.value, ("handed to the kernel as it is", "the kernel's default"))


def _option_asked(place: Place) -> str:
    field = {("/sys", "rro"): "sys_recursively_readonly", ("/tmp", "mode"): "tmp_mode"}.get(
        (place.mount.destination, place.value.partition("=")[0])
    )
    return f"default (options.{field})" if field else _asked(place)


MOUNT_RULES: dict[str, Rule] = {
    "/mounts": Rule(
        "what is mounted inside, in this order: a later one may hide an earlier one", "the request and defaults",
        _MOUNTS, "the root would be empty and read-only",
    ),
    "/mounts/*": Rule(lambda place: _meaning(place)[0], _asked, _MOUNTS, lambda place: _meaning(place)[1]),
    "/mounts/*/destination": Rule(
        "where it is mounted: the path inside", _destination_asked, _MOUNTS, "the runtime would refuse"
    ),
    "/mounts/*/type": Rule(_type, _asked, _MOUNTS, "the runtime would take it for a bind mount, or refuse"),
    "/mounts/*/source": Rule(_source, _source_asked, _MOUNTS, "there would be nothing to mount"),
    "/mounts/*/options": Rule("how it is mounted", _asked, _OPTIONS, "the kernel's defaults would stand"),
    "/mounts/*/options/*": Rule(
        lambda place: _option_meaning(place)[0], _option_asked, _OPTIONS, lambda place: _option_meaning(place)[1]
    ),
}  # fmt: skip
