"""The one table of where a rendering deviates from Tvix, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tvixbuild_nb.castore.nodes import SymlinkNode
from tvixbuild_nb.oci.options import IdMapping, Limits, SpecOptions
from tvixbuild_nb.oci.spec import Rlimit, User
from tvixbuild_nb.request import BuildRequest


@dataclass(frozen=True, slots=True)
class Deviation:
    """One difference from Tvix: what Tvix does, what this rendering does, the reason, and whose choice it is."""

    name: str
    tvix: str
    ours: str
    reason: str
    asked_by: Literal["package", "host", "user"]


@dataclass(frozen=True, slots=True)
class _Rule:
    field: str
    name: str
    tvix: str
    ours: Callable[[SpecOptions], str]
    reason: str
    asked_by: Literal["package", "host"]


def _maps(options: SpecOptions) -> str:
    maps = (("uid", options.uid_mappings), ("gid", options.gid_mappings))
    return "; ".join(f"{kind} {_shown(mappings)}" for kind, mappings in maps)


def _led(options: SpecOptions) -> str:
    return ", ".join(
        f"{known.path} -> {known.resolved}" for known in options.host_paths if known.path != known.resolved
    )


# What our defaults, or this host, do in another way.
TABLE = (
    _Rule(
        "terminal", "terminal", "true", lambda options: "false",
        "without a controlling terminal runc fails with 'open /dev/tty'; the log is read through pipes", "package",
    ),
    _Rule(
        "uid_mappings", "id maps", "1000 -> 1000 and 100 -> 100, added when a build starts", _maps,
        "Tvix's maps fail as root, and mapping the caller lets a build run by root become the host's root: "
        "only subordinate ids are inside", "host",
    ),
    _Rule(
        "sys_recursively_readonly", "/sys", "bound read-only, its submounts stay writable",
        lambda options: "recursively read-only (rro)",
        "submounts such as tracefs and debugfs could be opened for writing", "package",
    ),
    _Rule(
        "tmp_mode", "/tmp", "mode 700", lambda options: f"mode {options.tmp_mode}",
        "700 belongs to root inside: a build without CAP_DAC_OVERRIDE could not write there; 1777 as Nix has it",
        "package",
    ),
    _Rule(
        "cgroup_namespace", "cgroup namespace", "always", lambda options: "none",
        "this host's kernel or cgroup set-up cannot give one", "host",
    ),
    _Rule(
        "symlink_inputs_as_symlinks", "symlink inputs", "bind-mounted", lambda options: "made as symlinks",
        "a bind mount follows the link on the host: an input '-> /etc' would show the host's /etc", "package",
    ),
    _Rule(
        "etc_files", "/etc", "empty", lambda options: "with passwd, group and hosts",
        "programs that ask who they are, or for localhost, fail without", "package",
    ),
    _Rule(
        "network_files", "network files", "/etc/resolv.conf, /etc/services, /etc/hosts",
        lambda options: ", ".join(options.network_files) or "none",
        "the others do not exist on this host, and the mount would fail", "host",
    ),
    _Rule(
        "host_paths", "host paths", "mounted as they are named", _led,
        "a path that is a symlink is resolved once, when the run is planned, so that what is shown is mounted", "host",
    ),
)  # fmt: skip

ADDITIONAL_FILES = Deviation(
    "additional files",
    "dropped silently",
    "there when the build starts",
    "the request asks for them",
    "package",
)

# Fields that are no difference in the configuration, or are told by a rule of another field.
_SILENT = frozenset({"gid_mappings", "problems", "sandbox_shell", "cgroups_path"})


def deviations(options: SpecOptions, request: BuildRequest | None = None) -> tuple[Deviation, ...]:
    """Every difference between ``options`` and what Tvix prints, ours with the reason, the user's as such.

    With a ``request`` only those that it meets, and its additional files, which Tvix drops.
    """
    found = _differences(options)
    if request is None:
        return found
    met = {
        "symlink inputs": any(isinstance(node, SymlinkNode) for node in request.inputs.values()),
        "network files": request.constraints is not None and request.constraints.network_access,
    }
    files = (ADDITIONAL_FILES,) if request.additional_files else ()
    return tuple(deviation for deviation in found if met.get(deviation.name, True)) + files


def _differences(options: SpecOptions) -> tuple[Deviation, ...]:
    plain = SpecOptions.tvix(rootless=options.rootless)
    ours = SpecOptions(rootless=options.rootless)
    found = []
    told = set(_SILENT)
    for rule in TABLE:
        value = getattr(options, rule.field)
        if value == getattr(plain, rule.field):
            told.add(rule.field)
        elif rule.asked_by == "host" or value == getattr(ours, rule.field):
            told.add(rule.field)
            shown = options.rootless or rule.field not in ("sys_recursively_readonly", "uid_mappings")
            if shown and rule.ours(options):
                found.append(Deviation(rule.name, rule.tvix, rule.ours(options), rule.reason, rule.asked_by))
    if not options.rootless:
        found.append(
            Deviation("rootless", "true", "false", "the other form is there to be compared, never run", "user")
        )
        told.add("rootless")
    for field in SpecOptions.model_fields:
        if field not in told and getattr(options, field) != getattr(plain, field):
            found.append(
                Deviation(
                    field,
                    "none" if field == "limits" else _shown(getattr(plain, field)),
                    _shown(getattr(options, field)),
                    "asked for in the options",
                    "user",
                )
            )
    return tuple(found)


def _shown(value: Any) -> str:
    match value:
        case None:
            return "Tvix's own"
        case tuple():
            return ", ".join(_shown(item) for item in value) or "none"
        case Rlimit():
            return f"{value.type} {value.soft}/{value.hard}"
        case IdMapping():
            return f"{value.container_id} -> {value.host_id}" + (f" ({value.size})" if value.size > 1 else "")
        case User():
            return f"{value.uid}:{value.gid}"
        case Limits():
            return ", ".join(f"{name} {limit}" for name, limit in value if limit is not None)
        case _:
            return str(value)
