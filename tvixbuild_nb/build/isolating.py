"""From a Spec, and what the kernel said, to the rows of an :class:`Isolation`; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from tvixbuild_nb.build.hostside import HostSide
from tvixbuild_nb.build.inside import IdRange, Inside
from tvixbuild_nb.build.isolation import (
    Aspect,
    Basis,
    CapabilityRow,
    IdRow,
    Isolation,
    LimitRow,
    NamespaceRow,
    PathRow,
)
from tvixbuild_nb.oci import Spec, capabilities_of, meanings
from tvixbuild_nb.oci.capabilities import CAPABILITY_NAMES, LIMIT_LINES, NAMESPACE_FILES

_SETS = {
    "bounding": "CapBnd",
    "permitted": "CapPrm",
    "effective": "CapEff",
    "inheritable": "CapInh",
    "ambient": "CapAmb",
}


def isolation_of(
    spec: Spec, title: str, basis: Basis = "planned", *, inside: Inside | None = None, host: HostSide | None = None
) -> Isolation:
    """The isolation of the process that ``spec`` describes, purely.

    ``inside``: what the kernel said about it; ``host``: the side to compare with (:meth:`HostSide.here`). Without
    them numbers are left out.
    """
    keeper_ids = host is not None and host.has_keeper_ids and _first_outside(spec, inside) == 0
    return Isolation(
        title=title,
        basis=basis if inside is None else "observed",
        aspects=tuple(_aspects(spec, inside, host)),
        namespaces=tuple(_namespaces(spec, inside, host)),
        ids=tuple(_ids(spec, inside, host if keeper_ids else None)),
        outside="the keeper's user namespace" if keeper_ids else "the host",
        capabilities=tuple(_capabilities(spec, inside, host)),
        paths=tuple(_paths(spec, inside, host)),
        limits=(*_rlimits(spec, inside, host), *_cgroup_limits(spec)),
    )


def _aspects(spec: Spec, inside: Inside | None, host: HostSide | None) -> Iterator[Aspect]:
    own = {namespace.type for namespace in spec.linux.namespaces}
    user = spec.process.user
    status = {} if inside is None else inside.status
    numbers = status.get("NSpid", "").split()
    number = f"{numbers[0]}, as the keeper counts" if numbers else "a number of its own"
    note = "with a pid namespace of its own the keeper counts not as the host; inside, nobody else can be seen"
    yield Aspect("process number", number, "1" if "pid" in own else number, note if "pid" in own else "")
    for kind, number_inside in (("uid", user.uid), ("gid", user.gid)):
        outside = _outside(spec, inside, kind, number_inside)
        note = "the same user, two numbers: see the id maps"
        yield Aspect(kind, "?" if outside is None else str(outside), str(number_inside), note if kind == "uid" else "")
    yield Aspect("host name", "?" if host is None else host.hostname or "?", spec.hostname or "the host's")
    seen_root = None if inside is None else inside.mount("/")
    root = "root/ of the bundle" if seen_root is None else seen_root.root
    yield Aspect("root directory", root, "/ (read-only)" if spec.root.readonly else "/ (writable)")
    yield Aspect("working directory", "in the bundle or a mount", spec.process.cwd)
    yield Aspect(
        "cgroup",
        "one of its own" if inside is None else _cgroups(inside),
        "/ (looks like the root)" if "cgroup" in own else "the same paths",
    )
    network = "a loopback interface of its own, and nothing else" if "network" in own else "the host's interfaces"
    yield Aspect("network", "the host's interfaces", network)
    privileges = _privileges(spec, inside)
    yield Aspect("new privileges", "by setuid programs", privileges, "the kernel's no_new_privs mark")
    yield Aspect("system calls", "all", _seccomp(inside), "config.json has no seccomp part, and Tvix's neither")
    yield Aspect(
        "terminal", "none of the host's", "a pseudo-terminal" if spec.process.terminal else "none: pipes, and no input"
    )


def _cgroups(inside: Inside) -> str:
    """The paths, each once: on cgroup v1 every hierarchy has one, mostly the same."""
    paths: dict[str, list[str]] = {}
    for line in inside.cgroup:
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        paths.setdefault(path, []).append(controllers or "unified")
    if len(paths) == 1:
        return next(iter(paths))
    return "; ".join(f"{path} ({', '.join(reversed(names))})" for path, names in paths.items())


def _privileges(spec: Spec, inside: Inside | None) -> str:
    asked = spec.process.no_new_privileges
    seen = None if inside is None else inside.status.get("NoNewPrivs")
    text = "none, whatever is executed" if (asked if seen is None else seen == "1") else "by setuid programs"
    return text if seen is None or (seen == "1") == asked else f"{text} (config.json asked otherwise)"


def _seccomp(inside: Inside | None) -> str:
    mode = None if inside is None else inside.status.get("Seccomp")
    filtered = {"1": "strict mode: read, write, exit", "2": "filtered by seccomp"}
    text = filtered.get(mode or "0", "all: no seccomp filter")
    return text if mode is None else f"{text} (mode {mode})"


def _namespaces(spec: Spec, inside: Inside | None, host: HostSide | None) -> Iterator[NamespaceRow]:
    wanted = {namespace.type for namespace in spec.linux.namespaces}
    for kind, file in NAMESPACE_FILES.items():
        what, without = meanings.NAMESPACES[kind]
        here = None if host is None else host.namespaces.get(file)
        seen = None if inside is None else inside.namespaces.get(file)
        own = kind in wanted
        shared: Literal["host", "keeper"] | None = None
        if not own and seen is not None and here is not None:
            shared = "host" if seen == here else "keeper"
        yield NamespaceRow(kind, what, without, own, seen, here, shared)


def _ranges(spec: Spec, inside: Inside | None, kind: Literal["uid", "gid"]) -> Sequence[IdRange]:
    if inside is not None:
        return inside.uid_map if kind == "uid" else inside.gid_map
    maps = spec.linux.uid_mappings if kind == "uid" else spec.linux.gid_mappings
    return tuple(IdRange(m.container_id, m.host_id, m.size) for m in maps or ())


def _outside(spec: Spec, inside: Inside | None, kind: str, number: int) -> int | None:
    for ids in _ranges(spec, inside, "uid" if kind == "uid" else "gid"):
        if 0 <= number - ids.container_id < ids.size:
            return ids.host_id + number - ids.container_id
    return number if all(namespace.type != "user" for namespace in spec.linux.namespaces) else None


def _first_outside(spec: Spec, inside: Inside | None) -> int | None:
    return next((ids.host_id for ids in _ranges(spec, inside, "uid") if ids.container_id == 0), None)


def _ids(spec: Spec, inside: Inside | None, host: HostSide | None) -> Iterator[IdRow]:
    user = spec.process.user
    kinds: tuple[tuple[Literal["uid", "gid"], int], ...] = (("uid", user.uid), ("gid", user.gid))
    for kind, number in kinds:
        names = {number: "nixbld", 0: "root"}
        for ids in _ranges(spec, inside, kind):
            through = None if host is None else host.through_keeper(kind, ids.host_id)
            yield IdRow(kind, ids.container_id, ids.host_id, ids.size, names.get(ids.container_id), through)


def _capabilities(spec: Spec, inside: Inside | None, host: HostSide | None) -> Iterator[CapabilityRow]:
    if inside is None:
        held = {name: frozenset(getattr(spec.process.capabilities, name)) for name in _SETS}
    else:
        held = {name: capabilities_of(int(inside.status.get(line, "0"), 16)) for name, line in _SETS.items()}
    unknown = sorted(frozenset().union(*held.values()) - set(CAPABILITY_NAMES))
    for name in (*CAPABILITY_NAMES, *unknown):
        sets = tuple(kind for kind, names in held.items() if name in names)
        what = meanings.CAPABILITIES.get(name, "newer than this package")
        yield CapabilityRow(name, what, sets, None if host is None else name in host.capabilities)


def _paths(spec: Spec, inside: Inside | None, host: HostSide | None) -> Iterator[PathRow]:
    kinds: tuple[tuple[Literal["masked", "read-only"], tuple[str, ...]], ...] = (
        ("masked", spec.linux.masked_paths),
        ("read-only", spec.linux.readonly_paths),
    )
    for kind, paths in kinds:
        for path in paths:
            what = (meanings.MASKED.get(path) or meanings.READONLY.get(path) or ("",))[0]
            seen = None if inside is None else inside.mount(path)
            force = seen is not None and (kind == "masked" or "ro" in seen.options)
            exists = None if host is None else host.protected.get(path)
            yield PathRow(path, kind, what, None if inside is None else force, exists)


def _rlimits(spec: Spec, inside: Inside | None, host: HostSide | None) -> Iterator[LimitRow]:
    asked = {limit.type: (str(limit.soft), str(limit.hard)) for limit in spec.process.rlimits}
    for name, line in sorted(LIMIT_LINES.items(), key=lambda item: item[0] not in asked):
        seen = None if inside is None else inside.limits.get(line)
        here = None if host is None else host.limits.get(line)
        yield LimitRow(
            name=name,
            what=meanings.RLIMITS[name],
            asked=name in asked,
            inside=asked.get(name) if seen is None else seen[:2],
            host=None if here is None else here[:2],
            unit=(seen or here or ("", "", ""))[2],
        )


def _cgroup_limits(spec: Spec) -> Iterator[LimitRow]:
    found = spec.linux.resources
    cores = None if found.cpu is None else f"{found.cpu.quota / found.cpu.period:g}"
    for name, what, value, unit in (
        ("memory", "memory of all processes together", found.memory and str(found.memory.limit), "bytes"),
        ("pids", "processes and threads together", found.pids and str(found.pids.limit), "processes"),
        ("cpu", "processor time of all processes together", cores, "cores"),
    ):
        limit = value or "no limit"
        yield LimitRow(f"cgroup {name}", what, value is not None, (limit, limit), None, unit if value else "")
