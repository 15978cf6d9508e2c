"""Isolation: one process seen from the host and from inside, planned from the Spec or as the kernel had it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tvixbuild_nb.display import mimebundle, plain, register

if TYPE_CHECKING:
    from rich.console import Group

Basis = Literal["planned", "configured", "observed"]
# What the kernel writes for an id without a mapping; /proc/sys/kernel/overflowuid, which nobody changes.
OVERFLOW_ID = 65534


@dataclass(frozen=True, slots=True)
class Aspect:
    """One thing about the process as it looks from the host and from inside; ``note`` says why."""

    name: str
    host: str
    inside: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class NamespaceRow:
    """A namespace: ``own`` by config.json; ``inside`` and ``host`` are the kernel's numbers, None when not known.

    ``shared_with``: whose it is when it is not the container's own: ``host``, ``keeper``, or None.
    """

    type: str
    what: str
    without: str
    own: bool
    inside: str | None = None
    host: str | None = None
    shared_with: Literal["host", "keeper"] | None = None


@dataclass(frozen=True, slots=True)
class IdRow:
    """``size`` ids of ``kind`` from ``inside`` on are ``outside`` ones from there on, ``host`` when a keeper's map is
    in between; ``name`` is what /etc/passwd or /etc/group inside calls the first."""

    kind: Literal["uid", "gid"]
    inside: int
    outside: int
    size: int
    name: str | None = None
    host: int | None = None


@dataclass(frozen=True, slots=True)
class CapabilityRow:
    """A capability and in which ``sets`` the process has it (none: dropped); ``host``: whether its starter has it."""

    name: str
    what: str
    sets: tuple[str, ...]
    host: bool | None = None

    @property
    def kept(self) -> bool:
        return bool(self.sets)


@dataclass(frozen=True, slots=True)
class PathRow:
    """A masked or read-only path; ``in_force``: whether it was seen, ``exists``: whether this kernel has the path.

    None where nobody looked. What does not exist needs no protection, and runtimes pass over it.
    """

    path: str
    kind: Literal["masked", "read-only"]
    what: str
    in_force: bool | None = None
    exists: bool | None = None


@dataclass(frozen=True, slots=True)
class LimitRow:
    """A limit as (soft, hard) in ``unit``; ``inside`` None: inherited, ``asked``: config.json names it."""

    name: str
    what: str
    asked: bool
    inside: tuple[str, str] | None
    host: tuple[str, str] | None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Isolation:
    """What keeps a sandbox's process apart, each thing from both sides. Shows itself wherever it is shown.

    ``basis``: ``planned`` from a sandbox, ``configured`` in a run's config.json, ``observed`` in its process just
    before the command was executed. ``outside`` names the user namespace that the ids outside belong to. The host's
    numbers are those of the process that asks.
    """

    title: str
    basis: Basis
    aspects: tuple[Aspect, ...]
    namespaces: tuple[NamespaceRow, ...]
    ids: tuple[IdRow, ...]
    outside: str
    capabilities: tuple[CapabilityRow, ...]
    paths: tuple[PathRow, ...]
    limits: tuple[LimitRow, ...]

    def namespace(self, kind: str) -> NamespaceRow:
        """The row of a namespace by its name in config.json; KeyError for an unknown one."""
        return next((row for row in self.namespaces if row.type == kind), None) or _none(kind)

    def capability(self, name: str) -> CapabilityRow:
        """The row of a capability such as ``CAP_KILL``; KeyError for an unknown one."""
        return next((row for row in self.capabilities if row.name == name), None) or _none(name)

    @property
    def kept(self) -> tuple[str, ...]:
        """The capabilities the process has."""
        return tuple(row.name for row in self.capabilities if row.kept)

    def __str__(self) -> str:
        from tvixbuild_nb.build.isolationtext import isolation_text

        return isolation_text(self)

    def __rich__(self) -> Group:
        from tvixbuild_nb.build.isolationtext import isolation_tables

        return isolation_tables(self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


def _none(name: str) -> Any:
    raise KeyError(name)


register(Isolation, plain)
