"""Spec: an OCI runtime configuration (config.json) as a value, in the runtime-spec's own words.

Only the fields this package renders exist; camelCase in JSON, snake_case in Python. Source: the OCI
runtime-spec 1.0.2, https://github.com/opencontainers/runtime-spec (config.md, config-linux.md).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel
from pydantic_core import to_json

from tvixbuild_nb.display import mimebundle
from tvixbuild_nb.errors import InvalidSpec
from tvixbuild_nb.request import Redactor, Value
from tvixbuild_nb.request.redactor import NOTHING_SECRET

if TYPE_CHECKING:
    from tvixbuild_nb.oci.compare import Diff

OCI_VERSION = "1.0.2-dev"


class Part(Value):
    """A part of a Spec: what is None is left out of the JSON."""

    model_config = ConfigDict(alias_generator=to_camel, defer_build=True)

    error_type: ClassVar[type[InvalidSpec]] = InvalidSpec


class Root(Part):
    """The container's root file system; ``path`` is relative to the bundle."""

    path: str
    readonly: bool


class Mount(Part):
    """One mount; ``source`` is relative to the bundle when it does not start with a slash."""

    destination: str
    type: str
    source: str
    options: tuple[str, ...] | None = None


class User(Part):
    """Who the process is, in ids inside the container."""

    uid: int
    gid: int


class Rlimit(Part):
    """A resource limit of the process, such as RLIMIT_NOFILE."""

    type: str
    hard: int
    soft: int


class Capabilities(Part):
    """The five capability sets; this package always fills them alike, as Tvix does."""

    bounding: tuple[str, ...]
    effective: tuple[str, ...]
    inheritable: tuple[str, ...]
    permitted: tuple[str, ...]
    ambient: tuple[str, ...]


class Process(Part):
    """What is run, and as whom."""

    terminal: bool
    user: User
    args: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    capabilities: Capabilities
    rlimits: tuple[Rlimit, ...]
    no_new_privileges: bool


class IdMap(Part):
    """``size`` ids from ``container_id`` on are the host's from ``host_id`` on (config.json's form)."""

    model_config = ConfigDict(alias_generator=lambda name: to_camel(name).replace("Id", "ID"))

    container_id: int
    host_id: int
    size: int


class Namespace(Part):
    """A namespace of its own for the container."""

    type: str


class Memory(Part):
    """``limit`` in bytes."""

    limit: int


class Pids(Part):
    """``limit``: how many processes and threads."""

    limit: int


class Cpu(Part):
    """``quota`` microseconds of CPU time in every ``period`` microseconds."""

    quota: int
    period: int


class Resources(Part):
    """What the container's cgroup limits."""

    devices: tuple[Mapping[str, Any], ...] = ()
    memory: Memory | None = None
    pids: Pids | None = None
    cpu: Cpu | None = None


class Linux(Part):
    """What is Linux's own: namespaces, id maps, hidden and read-only paths."""

    resources: Resources
    namespaces: tuple[Namespace, ...]
    masked_paths: tuple[str, ...]
    readonly_paths: tuple[str, ...]
    uid_mappings: tuple[IdMap, ...] | None = None
    gid_mappings: tuple[IdMap, ...] | None = None
    cgroups_path: str | None = None


class Spec(Part):
    """A whole config.json."""

    model_config = ConfigDict(alias_generator=lambda name: "ociVersion" if name == "oci_version" else to_camel(name))

    oci_version: str
    root: Root
    mounts: tuple[Mount, ...]
    process: Process
    hostname: str | None = None
    annotations: Mapping[str, str]
    linux: Linux

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON data."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def to_json(self, indent: int | None = 2) -> str:
        """The text of config.json."""
        # pydantic's own encoder: json.dumps with an indent runs in Python and took a tenth of a small build.
        return to_json(self.to_dict(), indent=indent).decode("utf-8")

    @classmethod
    def from_json(cls, data: str | bytes | Mapping[str, Any]) -> Self:
        """Read a configuration this package rendered; :class:`InvalidSpec` names the field it cannot."""
        if not isinstance(data, Mapping):
            try:
                data = json.loads(data)
            except ValueError as error:
                raise InvalidSpec(f"not JSON: {error}", path="config.json") from None
        if not isinstance(data, Mapping):
            raise InvalidSpec(f"expected an object, got {type(data).__name__}", path="config.json")
        return cls.model_validate(data)

    @cached_property
    def redactor(self) -> Redactor:
        """What takes secret values out of this configuration where it is shown; nothing is secret unless it is told."""
        return NOTHING_SECRET

    def hiding(self, redactor: Redactor) -> Self:
        """The same configuration, shown without these values; :meth:`to_json` has them all the same."""
        copy = self.model_copy()
        copy.__dict__["redactor"] = redactor
        return copy

    def diff(self, other: Spec) -> Diff:
        """The differences from ``other``, the smallest first; what is secret in either is not in them."""
        from tvixbuild_nb.oci.compare import between  # loaded when first asked

        hide = self.redactor, other.redactor
        return between(self.to_dict(), other.to_dict(), "the other configuration", hide)

    def __repr__(self) -> str:
        return self.redactor.text(super().__repr__())

    def __str__(self) -> str:
        return self.redactor.text(super().__str__())

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)
