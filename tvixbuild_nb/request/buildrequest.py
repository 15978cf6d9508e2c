"""BuildRequest and BuildConstraints: an instance is a proof that every rule holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, Self

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.nodes import Node
from tvixbuild_nb.display import mimebundle
from tvixbuild_nb.errors import InvalidRequest
from tvixbuild_nb.request import rules
from tvixbuild_nb.request.model import Value, unknown_field
from tvixbuild_nb.request.sortedmap import SortedMap, by_bytes

if TYPE_CHECKING:
    from tvixbuild_nb.request.compare import Changes

Text = str | PathLike[str]


class BuildConstraints(Value):
    """What the builder must be and offer; refused with :class:`InvalidRequest`.

    Parameters: ``system`` such as ``x86_64-linux`` (never empty); ``min_memory`` in bytes;
    ``available_ro_paths``, clean absolute paths of the host, sorted for you; ``network_access``;
    ``provide_bin_sh``, a shell at /bin/sh.
    """

    error_type: ClassVar[type[InvalidRequest]] = InvalidRequest

    system: str
    min_memory: int
    available_ro_paths: tuple[str, ...]
    network_access: bool
    provide_bin_sh: bool

    def __init__(
        self,
        *,
        system: str = "",
        min_memory: int = 0,
        available_ro_paths: Iterable[Text] = (),
        network_access: bool = False,
        provide_bin_sh: bool = False,
        **unknown: Any,
    ) -> None:
        for name in unknown:
            raise unknown_field(name, type(self).model_fields, InvalidRequest, path=f"constraints.{name}")
        field = "constraints.available_ro_paths"
        paths = [
            rules.absolute_path(path, field, index) for index, path in enumerate(rules.items(available_ro_paths, field))
        ]
        if not rules.text(system, "constraints.system"):
            raise InvalidRequest("constraints must name a system", path="constraints.system", hint="x86_64-linux")
        super().__init__(
            system=system,
            min_memory=rules.uint64(min_memory, "constraints.min_memory"),
            available_ro_paths=tuple(sorted(rules.unique(paths, field), key=by_bytes)),
            network_access=rules.boolean(network_access, "constraints.network_access"),
            provide_bin_sh=rules.boolean(provide_bin_sh, "constraints.provide_bin_sh"),
        )


class BuildRequest(Value):
    """One sandboxed build, frozen and valid; what breaks a rule raises :class:`InvalidRequest`.

    Parameters (paths are relative to the sandbox's root and clean; everything that has an order is
    sorted for you, by bytes):

    - ``inputs``: name -> castore node, read-only at ``inputs_dir``/name inside.
    - ``command_args``: the program and its arguments, at least one.
    - ``working_dir``: where it starts; empty is the root.
    - ``scratch_paths``: the writable directories, empty at first.
    - ``inputs_dir``: where the inputs are; empty is the root.
    - ``outputs``: what is ingested afterwards, each strictly below a scratch path.
    - ``environment_vars``: name -> text or UTF-8 bytes.
    - ``constraints``: a :class:`BuildConstraints`, or a mapping of its fields.
    - ``additional_files``: path -> text or bytes, there when the build starts.
    - ``refscan_needles``: what to look for in the outputs; their order is kept.

    There are no defaults but the empty ones of the wire. Rules: tvix.build.v1's validation, plus
    those that Tvix leaves to fail later (no duplicates, no NUL, outputs below scratch paths, ...).
    """

    error_type: ClassVar[type[InvalidRequest]] = InvalidRequest

    inputs: SortedMap[Node]
    command_args: tuple[str, ...]
    working_dir: str
    scratch_paths: tuple[str, ...]
    inputs_dir: str
    outputs: tuple[str, ...]
    environment_vars: SortedMap[bytes]
    constraints: BuildConstraints | None
    additional_files: SortedMap[bytes]
    refscan_needles: tuple[str, ...]

    def __init__(
        self,
        *,
        command_args: Iterable[Text] = (),
        inputs: Mapping[str, Node] | Iterable[tuple[str, Node]] = (),
        working_dir: Text = "",
        scratch_paths: Iterable[Text] = (),
        inputs_dir: Text = "",
        outputs: Iterable[Text] = (),
        environment_vars: Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes]] = (),
        constraints: BuildConstraints | Mapping[str, Any] | None = None,
        additional_files: Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes]] = (),
        refscan_needles: Iterable[str] = (),
        **unknown: Any,
    ) -> None:
        for name in unknown:
            raise unknown_field(name, type(self).model_fields, InvalidRequest)
        nodes = _inputs(inputs)
        scratch = _paths(scratch_paths, "scratch_paths")
        produced = _paths(outputs, "outputs")
        where = rules.relative_path(inputs_dir, "inputs_dir", empty=True)
        rules.outputs_below_scratch(produced, scratch)
        rules.outputs_not_inputs(produced, where, nodes)
        super().__init__(
            inputs=SortedMap(nodes),
            command_args=_command(command_args),
            working_dir=rules.relative_path(working_dir, "working_dir", empty=True),
            scratch_paths=tuple(sorted(scratch, key=by_bytes)),
            inputs_dir=where,
            outputs=tuple(sorted(produced, key=by_bytes)),
            environment_vars=SortedMap(_environment(environment_vars)),
            constraints=_constraints(constraints),
            additional_files=SortedMap(_files(additional_files)),
            refscan_needles=_needles(refscan_needles),
        )

    @property
    def digest(self) -> Digest:
        """BLAKE3 of :meth:`to_bytes`: the same for equal requests, anywhere."""
        return Digest.of(self.to_bytes())

    def input_path(self, name: str) -> str:
        """Where the input of this name is inside, relative to the root."""
        return rules.join(self.inputs_dir, name)

    def to_bytes(self) -> bytes:
        """The tvix.build.v1.BuildRequest message, canonically encoded."""
        from tvixbuild_nb.request import wire

        return wire.to_bytes(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a BuildRequest message; strict: sorted, no unknown field, constraints with a system."""
        from tvixbuild_nb.request import wire

        return cls(**wire.from_bytes(data))

    def diff(self, other: BuildRequest) -> Changes:
        """What changed from this request to ``other``, the smallest change first; an input is told by its digest."""
        from tvixbuild_nb.request.compare import Changes, compare_requests  # which stands on this module

        return Changes.of(compare_requests(self, other))

    def to_json(self, indent: int | None = 2) -> str:
        """The message as protobuf-JSON, as grpcurl prints and reads it (camelCase, base64 bytes)."""
        from tvixbuild_nb.request import wire

        return wire.to_json(self, indent)

    def to_dict(self) -> dict[str, Any]:
        """The protobuf-JSON form as Python data."""
        from tvixbuild_nb.request import wire

        return wire.to_dict(self)

    @classmethod
    def from_json(cls, data: str | bytes | Mapping[str, Any]) -> Self:
        """Read protobuf-JSON (text, or parsed), names in camelCase or snake_case; strict as the bytes are."""
        from tvixbuild_nb.request import wire

        return cls(**wire.from_json(data))

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


def _command(value: object) -> tuple[str, ...]:
    field = "command_args"
    command = tuple(rules.text(item, field, index) for index, item in enumerate(rules.items(value, field)))
    if not command:
        raise InvalidRequest("a command is needed", path=field, hint='for example ["/bin/sh", "-c", "true"]')
    if not command[0]:
        raise InvalidRequest("the program's name must not be empty", path=field, index=0)
    return command


def _paths(value: object, field: str) -> Sequence[str]:
    return rules.unique(
        [rules.relative_path(item, field, index) for index, item in enumerate(rules.items(value, field))], field
    )


def _inputs(value: object) -> dict[str, Node]:
    field = "inputs"
    named: dict[str, Node] = {}
    for index, (key, item) in enumerate(rules.mapping(value, field).items()):
        name = rules.input_name(key, field, index)
        if name in named:
            raise InvalidRequest(f"{name!r} occurs twice", path=field, index=index)
        named[name] = rules.node(name, item, field, index)
    return named


def _environment(value: object) -> dict[str, bytes]:
    field = "environment_vars"
    variables: dict[str, bytes] = {}
    for index, (key, item) in enumerate(rules.mapping(value, field).items()):
        name = rules.environment_key(key, field, index)
        variables[name] = rules.environment_value(name, item, field, index)
    return variables


def _files(value: object) -> dict[str, bytes]:
    field = "additional_files"
    files: dict[str, bytes] = {}
    for index, (key, item) in enumerate(rules.mapping(value, field).items()):
        path = rules.relative_path(key, field, index)
        if path in files:
            raise InvalidRequest(f"{path!r} occurs twice", path=field, index=index)
        files[path] = rules.contents(path, item, field, index)
    return files


def _needles(value: object) -> tuple[str, ...]:
    field = "refscan_needles"
    needles = []
    for index, item in enumerate(rules.items(value, field)):
        needle = rules.text(item, field, index)
        if not needle:
            raise InvalidRequest("a needle must not be empty", path=field, index=index)
        needles.append(needle)
    return tuple(rules.unique(needles, field))


def _constraints(value: object) -> BuildConstraints | None:
    if value is None or isinstance(value, BuildConstraints):
        return value
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"expected BuildConstraints, got {type(value).__name__}", path="constraints")
    return BuildConstraints(**{str(name): item for name, item in value.items()})
