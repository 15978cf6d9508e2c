"""SpecOptions: everything about a rendering that is not in the request."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import field_validator, model_validator

from tvixbuild_nb.errors import InvalidSpec
from tvixbuild_nb.oci import facts
from tvixbuild_nb.oci.spec import Rlimit, User
from tvixbuild_nb.request import Value

KNOWN_CAPABILITIES = frozenset(
    {
        "CAP_AUDIT_CONTROL", "CAP_AUDIT_READ", "CAP_AUDIT_WRITE", "CAP_BLOCK_SUSPEND", "CAP_BPF",
        "CAP_CHECKPOINT_RESTORE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID",
        "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_KILL", "CAP_LEASE", "CAP_LINUX_IMMUTABLE", "CAP_MAC_ADMIN",
        "CAP_MAC_OVERRIDE", "CAP_MKNOD", "CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_RAW",
        "CAP_PERFMON", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYSLOG", "CAP_SYS_ADMIN",
        "CAP_SYS_BOOT", "CAP_SYS_CHROOT", "CAP_SYS_MODULE", "CAP_SYS_NICE", "CAP_SYS_PACCT", "CAP_SYS_PTRACE",
        "CAP_SYS_RAWIO", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_WAKE_ALARM",
    }
)  # fmt: skip
KNOWN_RLIMITS = frozenset(
    {
        "RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_LOCKS", "RLIMIT_MEMLOCK",
        "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_RSS", "RLIMIT_RTPRIO",
        "RLIMIT_RTTIME", "RLIMIT_SIGPENDING", "RLIMIT_STACK",
    }
)  # fmt: skip
KNOWN_NAMESPACES = frozenset({"pid", "ipc", "uts", "mount", "cgroup", "network", "user"})
MAX_ID = 2**32 - 2


class Option(Value):
    """A part of the options; refused with :class:`InvalidSpec`."""

    error_type: ClassVar[type[InvalidSpec]] = InvalidSpec


class IdMapping(Option):
    """``size`` ids from ``container_id`` on inside are those from ``host_id`` on outside."""

    container_id: int
    host_id: int
    size: int = 1

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.size < 1 or self.container_id < 0 or self.host_id < 0:
            raise InvalidSpec("ids are not negative, a size is at least 1", path="id mappings")
        if max(self.container_id, self.host_id) + self.size - 1 > MAX_ID:
            raise InvalidSpec("ids end at 2^32-2", path="id mappings")
        return self

    def maps(self, container_id: int) -> int | None:
        """The id outside of one inside, or None when it is not in this range."""
        offset = container_id - self.container_id
        return self.host_id + offset if 0 <= offset < self.size else None


class Limits(Option):
    """What a build may use: ``memory`` in bytes, ``pids`` processes and threads, ``cpu`` in cores (1.5)."""

    memory: int | None = None
    pids: int | None = None
    cpu: float | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("memory", "pids", "cpu"):
            if (value := getattr(self, name)) is not None and not 0 < value < 2**63:
                raise InvalidSpec(f"must be more than 0, not {value}", path=f"limits.{name}")
        # The kernel refuses a quota below a millisecond.
        if self.cpu is not None and self.cpu < 0.01:
            raise InvalidSpec(f"must be at least 0.01 cores, not {self.cpu}", path="limits.cpu")
        return self

    def __bool__(self) -> bool:
        return (self.memory, self.pids, self.cpu) != (None, None, None)


class Problem(Option):
    """Something this host lacks: a run that needs it is refused with ``message`` and ``hint``."""

    kind: Literal["linux", "sandbox-shell", "uid-range", "gid-range", "newuidmap"]
    message: str
    hint: str


class HostPath(Option):
    """A path of the host that a request asks for, resolved once: ``resolved`` is what gets mounted."""

    path: str
    resolved: str
    kind: Literal["file", "directory"]


class SpecOptions(Option):
    """How a request is rendered, as a value: defaults are this package's, :meth:`for_host` adds the host's.

    Parameters: ``rootless`` (user namespace and 14 capabilities; the other form is there to be
    compared, never run), ``sandbox_shell`` (host path of a static shell for /bin/sh),
    ``uid_mappings`` and ``gid_mappings``, ``terminal``, ``user`` (ids inside), ``capabilities``,
    ``namespaces`` and ``limits`` (None: as Tvix has them), ``rlimits`` (a mapping of name to a number
    or to (soft, hard) is accepted), ``masked_paths``, ``readonly_paths``, ``hostname``,
    ``no_new_privileges``, ``cgroups_path``. Where our defaults deviate from Tvix, and why, is told by
    :func:`tvixbuild_nb.oci.deviations`. Contradictions raise :class:`InvalidSpec`.
    """

    rootless: bool = True
    sandbox_shell: str | None = None
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()
    terminal: bool = False
    user: User = User(uid=facts.UID, gid=facts.GID)
    capabilities: tuple[str, ...] | None = None
    rlimits: tuple[Rlimit, ...] = (Rlimit(type="RLIMIT_NOFILE", hard=facts.NOFILE, soft=facts.NOFILE),)
    masked_paths: tuple[str, ...] = facts.MASKED_PATHS
    readonly_paths: tuple[str, ...] = facts.READONLY_PATHS
    namespaces: tuple[str, ...] | None = None
    hostname: str = facts.HOSTNAME
    no_new_privileges: bool = True
    limits: Limits | None = None
    cgroups_path: str | None = None
    cgroup_namespace: bool = True
    sys_recursively_readonly: bool = True
    tmp_mode: Literal["700", "1777"] = "1777"
    symlink_inputs_as_symlinks: bool = True
    etc_files: bool = True
    network_files: tuple[str, ...] = facts.NETWORK_FILES
    host_paths: tuple[HostPath, ...] = ()
    problems: tuple[Problem, ...] = ()

    @classmethod
    def tvix(cls, rootless: bool = True, sandbox_shell: str = facts.SANDBOX_SHELL) -> Self:
        """What make_spec prints, key for key; do_build adds its id maps afterwards, so there are none."""
        return cls(
            rootless=rootless,
            sandbox_shell=sandbox_shell,
            terminal=True,
            sys_recursively_readonly=False,
            tmp_mode="700",
            symlink_inputs_as_symlinks=False,
            etc_files=False,
        )

    @classmethod
    def for_host(cls, namespaces: bool = True, **changes: Any) -> Self:
        """Our defaults with what this host has: shell, id ranges, cgroup namespace. Never fails.

        ``namespaces``: whether an ordinary user's build runs in a user namespace of the keeper's own
        (ids are then that namespace's). ``changes`` are fields of the options; the id maps follow a
        changed ``user``. What is missing stands in ``problems``.
        """
        from tvixbuild_nb.oci import host

        if not isinstance(namespaces, bool):
            raise InvalidSpec(
                "here it is True or False: whether the keeper has namespaces of its own",
                path="namespaces",
                hint=f"for the container's: SpecOptions.for_host().replace(namespaces={namespaces!r})",
            )
        return cls(**{**host.probe(namespaces=namespaces, user=changes.get("user")), **changes})

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed; single-id maps of the old user follow a new ``user``."""
        if "user" in changes:
            user = User.model_validate(changes["user"])
            follow = (("uid_mappings", self.user.uid, user.uid), ("gid_mappings", self.user.gid, user.gid))
            for field, old, new in follow:
                changes.setdefault(field, _following(getattr(self, field), old, new))
        return super().replace(**changes)

    def host_id(self, kind: Literal["uid", "gid"], container_id: int) -> int | None:
        """The id outside of ``container_id``, or None when no mapping has it."""
        mappings = self.uid_mappings if kind == "uid" else self.gid_mappings
        return next((host for m in mappings if (host := m.maps(container_id)) is not None), None)

    @property
    def host_user(self) -> tuple[int, int] | None:
        """(uid, gid) outside of the build's user; None without id maps."""
        uid, gid = self.host_id("uid", self.user.uid), self.host_id("gid", self.user.gid)
        return None if uid is None or gid is None else (uid, gid)

    def host_path(self, path: str) -> HostPath | None:
        """What ``path`` was resolved to by :func:`check_host`, or None when it was not looked at."""
        return next((known for known in self.host_paths if known.path == path), None)

    @field_validator("capabilities", mode="before")
    @classmethod
    def _capabilities(cls, value: Any) -> Any:
        return None if value is None else _names(value, "capabilities", "CAP_", KNOWN_CAPABILITIES)

    @field_validator("namespaces", mode="before")
    @classmethod
    def _namespaces(cls, value: Any) -> Any:
        return None if value is None else _names(value, "namespaces", "", KNOWN_NAMESPACES)

    @field_validator("rlimits", mode="before")
    @classmethod
    def _rlimits(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        names = _names(value, "rlimits", "RLIMIT_", KNOWN_RLIMITS)
        pairs = [(limit, limit) if isinstance(limit, int) else tuple(limit) for limit in value.values()]
        return tuple(Rlimit(type=name, soft=pair[0], hard=pair[1]) for name, pair in zip(names, pairs, strict=True))

    @field_validator("masked_paths", "readonly_paths", "network_files")
    @classmethod
    def _absolute(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for path in value:
            if not path.startswith("/") or "\0" in path:
                raise InvalidSpec(f"{path!r} is not an absolute path", path="paths")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for index, limit in enumerate(self.rlimits):
            _names([limit.type], "rlimits", "RLIMIT_", KNOWN_RLIMITS)
            if not 0 <= limit.soft <= limit.hard:
                message = f"{limit.type}: soft {limit.soft} is above hard {limit.hard}, or negative"
                raise InvalidSpec(message, path="rlimits", index=index)
        if not self.hostname or "\0" in self.hostname or "\n" in self.hostname or len(self.hostname.encode()) > 64:
            message = f"{self.hostname!r} cannot be a hostname"
            raise InvalidSpec(message, path="hostname", hint="1 to 64 bytes, one line")
        if self.sandbox_shell is not None and not self.sandbox_shell.startswith("/"):
            raise InvalidSpec(f"{self.sandbox_shell!r} is not an absolute path", path="sandbox_shell")
        if self.namespaces is not None and "mount" not in self.namespaces:
            raise InvalidSpec("mounts need a mount namespace", path="namespaces", hint="add 'mount' to the namespaces")
        if self.namespaces is not None and self.rootless != ("user" in self.namespaces):
            raise InvalidSpec(
                "a user namespace belongs to the rootless form, and only to it",
                path="namespaces",
                hint="add 'user' to the namespaces" if self.rootless else "leave 'user' out of the namespaces",
            )
        for kind, mappings, wanted in (
            ("uid", self.uid_mappings, self.user.uid),
            ("gid", self.gid_mappings, self.user.gid),
        ):
            if mappings and all(mapping.maps(wanted) is None for mapping in mappings):
                raise InvalidSpec(
                    f"no mapping has the {kind} {wanted} of the build's user",
                    path=f"{kind}_mappings",
                    hint="SpecOptions.for_host(user=...) makes maps that have it",
                )
        return self


def _following(mappings: tuple[IdMapping, ...], old: int, new: int) -> tuple[IdMapping, ...]:
    if any(mapping.maps(new) is not None for mapping in mappings):
        return mappings
    moved = [
        mapping.replace(container_id=new) if (mapping.container_id, mapping.size) == (old, 1) else mapping
        for mapping in mappings
    ]
    return tuple(moved)


def _names(values: Iterable[Any], field: str, prefix: str, known: frozenset[str]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise InvalidSpec("expected a list of names", path=field, hint=f"write {field}=[{values!r}]")
    found: list[str] = []
    for index, value in enumerate(values):
        name = str(value) if not prefix else prefix + str(value).upper().removeprefix(prefix)
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(sorted(known))
            raise InvalidSpec(f"{value!r} is none of the {field}", path=field, index=index, hint=hint)
        if name in found:
            raise InvalidSpec(f"{name!r} occurs twice", path=field, index=index)
        found.append(name)
    return tuple(found)
