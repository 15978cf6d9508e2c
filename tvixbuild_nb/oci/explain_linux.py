"""What is said about Linux's own part: namespaces, id maps, cgroup limits, hidden and read-only paths."""

from __future__ import annotations

from tvixbuild_nb.oci.explanation import Place, Reference, Rule
from tvixbuild_nb.oci.meanings import MASKED, NAMESPACES, READONLY, Meaning

_DOCUMENT = "config-linux.md"
_LINUX = Reference("config.md", "Platform-specific configuration", "platform-specific-configuration")
_NAMESPACES = Reference(_DOCUMENT, "Namespaces", "configLinuxNamespaces")
_MAPPINGS = Reference(_DOCUMENT, "User namespace mappings", "configLinuxUserNamespaceMappings")
_CGROUPS = Reference(_DOCUMENT, "Control groups", "configLinuxControlGroups")
_CGROUPS_PATH = Reference(_DOCUMENT, "Cgroups Path", "configLinuxCgroupsPath")
_DEVICES = Reference(_DOCUMENT, "Allowed Device list", "configLinuxDeviceAllowedlist")
_MEMORY = Reference(_DOCUMENT, "Memory", "configLinuxMemory")
_CPU = Reference(_DOCUMENT, "CPU", "configLinuxCPU")
_PIDS = Reference(_DOCUMENT, "PIDs", "configLinuxPIDS")
_MASKED = Reference(_DOCUMENT, "Masked Paths", "configLinuxMaskedPaths")
_READONLY = Reference(_DOCUMENT, "Readonly Paths", "configLinuxReadonlyPaths")

_TVIX = "default, as Tvix has it"


def _namespaces_asked(place: Place) -> str:
    if place.options.namespaces is not None:
        return "options.namespaces"
    name = place.value.get("type") if isinstance(place.value, dict) else place.value
    return {
        "network": "constraints.network_access (not asked for)",
        "user": "options.rootless",
        "cgroup": "default, as Tvix has it, where this host can (options.cgroup_namespace)",
    }.get(name if isinstance(name, str) else "", _TVIX)


def _namespace(place: Place) -> Meaning:
    name = place.value["type"] if isinstance(place.value, dict) else place.value
    return NAMESPACES.get(name, ("a namespace of its own", "the host's would be shared"))


def _masked(place: Place) -> Meaning:
    return MASKED.get(place.value, ("named in the options", "it could be read"))


def _readonly(place: Place) -> Meaning:
    return READONLY.get(place.value, ("named in the options", "it could be written to"))


def _limits(what: str, reference: Reference, without: str) -> Rule:
    return Rule(what, "options.limits", reference, without)


def _id_map(kind: str, whose: str) -> dict[str, Rule]:
    """The rules of one of the two maps, which differ in a word."""
    asked = f"options.{kind}_mappings (by default from this host's /etc/sub{kind})"
    path = f"/linux/{kind}Mappings"

    def extent(place: Place) -> str:
        inside, outside, size = (place.value[key] for key in ("containerID", "hostID", "size"))
        last = f" to {inside + size - 1}" if size > 1 else ""
        return (
            f"{whose} id {inside}{last} inside is {outside} and on outside"
            if last
            else (f"{whose} id {inside} inside is {outside} outside")
        )

    return {
        path: Rule(
            f"which {whose} ids exist inside, and which of the host's they are; all others look like 65534 (nobody)",
            asked, _MAPPINGS, "the namespace would have no ids: not even the bundle could be entered",
        ),
        f"{path}/*": Rule(extent, asked, _MAPPINGS, "files of that id would look like nobody's, and it could not run"),
        f"{path}/*/containerID": Rule("the first id inside", asked, _MAPPINGS, "the runtime would refuse"),
        f"{path}/*/hostID": Rule(
            "the first id outside: that of whoever breaks out", asked, _MAPPINGS, "the runtime would refuse"
        ),
        f"{path}/*/size": Rule("how many ids from there on", asked, _MAPPINGS, "the runtime would refuse"),
    }  # fmt: skip


LINUX_RULES: dict[str, Rule] = {
    "/linux": Rule(
        "what only Linux has: namespaces, id maps, cgroups, hidden paths", _TVIX, _LINUX, "there would be no isolation"
    ),
    "/linux/namespaces": Rule(
        "what the build has of its own; of every kind not named here it shares the host's", _namespaces_asked,
        _NAMESPACES, "everything would be shared with the host",
    ),
    "/linux/namespaces/*": Rule(
        lambda place: _namespace(place)[0], _namespaces_asked, _NAMESPACES, lambda place: _namespace(place)[1]
    ),
    "/linux/namespaces/*/type": Rule(
        lambda place: f"which kind: {_namespace(place)[0]}", _namespaces_asked, _NAMESPACES, "the runtime would refuse"
    ),
    "/linux/maskedPaths": Rule(
        "paths that look empty inside", lambda place: place.origin("masked_paths"), _MASKED,
        "what they tell of the host could be read",
    ),
    "/linux/maskedPaths/*": Rule(
        lambda place: f"looks empty inside: {_masked(place)[0]}", lambda place: place.origin("masked_paths"), _MASKED,
        lambda place: _masked(place)[1],
    ),
    "/linux/readonlyPaths": Rule(
        "paths that can only be read inside", lambda place: place.origin("readonly_paths"), _READONLY,
        "the kernel's own checks alone would stand before them",
    ),
    "/linux/readonlyPaths/*": Rule(
        lambda place: f"can only be read: {_readonly(place)[0]}", lambda place: place.origin("readonly_paths"),
        _READONLY, lambda place: _readonly(place)[1],
    ),
    "/linux/resources": Rule(
        "what the build's cgroup limits", lambda place: place.origin("limits"), _CGROUPS,
        "the runtime's defaults: no limit",
    ),
    "/linux/resources/devices": Rule(
        "further rules which devices may be used: none", _TVIX, _DEVICES,
        "nothing: the runtime's own list of harmless devices stands in any case",
    ),
    "/linux/resources/memory": _limits("limits memory", _MEMORY, "the build could take all memory of the host"),
    "/linux/resources/memory/limit": _limits(
        "bytes of memory; beyond them the kernel kills a process of the build", _MEMORY,
        "the build could take all memory of the host",
    ),
    "/linux/resources/pids": _limits("limits processes", _PIDS, "a build that forks without end would fill the host"),
    "/linux/resources/pids/limit": _limits(
        "how many processes and threads there may be at a time", _PIDS,
        "a build that forks without end would fill the host",
    ),
    "/linux/resources/cpu": _limits("limits CPU time", _CPU, "the build could use all CPUs"),
    "/linux/resources/cpu/quota": _limits(
        "microseconds of CPU time, of all CPUs together, in every period", _CPU, "the build could use all CPUs"
    ),
    "/linux/resources/cpu/period": _limits("the period in microseconds", _CPU, "the kernel's own: 100 ms"),
    "/linux/cgroupsPath": Rule(
        "the cgroup the build runs in, below the host's cgroup mount; a run chooses one of its own",
        "options.cgroups_path", _CGROUPS_PATH, "the runtime would choose a cgroup",
    ),
    **_id_map("uid", "user"),
    **_id_map("gid", "group"),
}  # fmt: skip
