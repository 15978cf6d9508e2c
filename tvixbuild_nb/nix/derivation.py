"""Derivation: what Nix builds from, as a value; and the kinds of outputs that Nix 2.8 knows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tvixbuild_nb.errors import InvalidDerivation, InvalidStorePath
from tvixbuild_nb.nix.hashes import HashAlgorithm, NixHash, algorithm_named
from tvixbuild_nb.nix.storepath import (
    NIX_STORE,
    ContentMethod,
    StoreDir,
    StorePath,
    check_name,
    method_prefix,
    output_name,
)
from tvixbuild_nb.request import FrozenMap

if TYPE_CHECKING:
    from tvixbuild_nb.nix.compare import DerivationDiff
    from tvixbuild_nb.nix.modulo import ReadDerivation

DERIVATION_SUFFIX = ".drv"
# A derivation with structured attributes keeps them in this variable, as JSON.
STRUCTURED_ATTRIBUTES = b"__json"


@dataclass(frozen=True, slots=True)
class InputAddressed:
    """An output whose path is computed from the derivation and all it is built from."""

    path: StorePath
    kind: ClassVar[Literal["input-addressed"]] = "input-addressed"


@dataclass(frozen=True, slots=True)
class Deferred:
    """An input-addressed output whose path is not known yet: an input's path is known only when that is built."""

    path: ClassVar[None] = None
    kind: ClassVar[Literal["deferred"]] = "deferred"


@dataclass(frozen=True, slots=True)
class Fixed:
    """An output whose hash is known beforehand; ``path`` is what the derivation says it will be."""

    path: StorePath
    hash: NixHash
    method: ContentMethod
    kind: ClassVar[Literal["fixed"]] = "fixed"

    @property
    def hash_algorithm(self) -> str:
        """The algorithm behind the method's prefix, as derivations write it: ``r:sha256``."""
        return method_prefix(self.method) + self.hash.algorithm


@dataclass(frozen=True, slots=True)
class _ContentAddressed:
    algorithm: HashAlgorithm
    method: ContentMethod
    path: ClassVar[None] = None

    def __post_init__(self) -> None:
        algorithm_named(self.algorithm)

    @property
    def hash_algorithm(self) -> str:
        """The algorithm behind the method's prefix, as derivations write it: ``r:sha256``."""
        return method_prefix(self.method) + self.algorithm


@dataclass(frozen=True, slots=True)
class Floating(_ContentAddressed):
    """An output whose path follows from its contents once it is built."""

    kind: ClassVar[Literal["floating"]] = "floating"


@dataclass(frozen=True, slots=True)
class Impure(_ContentAddressed):
    """A floating output of a derivation that may give something else each time, with network."""

    kind: ClassVar[Literal["impure"]] = "impure"


Output = InputAddressed | Fixed | Floating | Deferred | Impure
OutputKind = Literal["input-addressed", "fixed", "floating", "deferred", "impure"]


@dataclass(frozen=True, slots=True)
class Derivation:
    """A derivation; an instance is a proof that Nix would take it, but not that its output paths are right.

    Parameters: ``name``, without .drv; ``outputs``, at least one, all of one kind, a fixed one alone and called
    ``out``; ``input_derivations``, what is built before, each with the outputs needed of it; ``input_sources``, the
    other paths needed; ``system``, such as ``x86_64-linux``; ``builder``, an absolute path or ``builtin:...``;
    ``args`` and ``env``, what it gets; ``store_dir``, where all of its paths lie. Order and repetition in
    mappings and sets mean nothing, hence are put right; everything else that breaks a rule is refused with
    :class:`InvalidDerivation`. ``modulo`` tells whether the output paths are right.
    """

    name: str
    outputs: Mapping[str, Output]
    system: bytes
    builder: bytes
    args: tuple[bytes, ...] = ()
    env: Mapping[bytes, bytes] = FrozenMap()
    input_derivations: Mapping[StorePath, tuple[str, ...]] = FrozenMap()
    input_sources: tuple[StorePath, ...] = ()
    store_dir: StoreDir = NIX_STORE

    def __post_init__(self) -> None:
        _name_checked(self.name + DERIVATION_SUFFIX, "name")
        needed = {path: tuple(sorted(set(names))) for path, names in self.input_derivations.items()}
        self._set("outputs", FrozenMap(self.outputs))
        self._set("args", tuple(self.args))
        self._set("env", FrozenMap(self.env))
        self._set("input_derivations", FrozenMap(needed))
        self._set("input_sources", tuple(sorted(set(self.input_sources))))
        _check_outputs(self.outputs)
        if b'"' in self.system or b"\\" in self.system:
            raise InvalidDerivation(
                f"Nix cannot write a system with quotes or backslashes: {self.system!r}", path="system"
            )
        for path, names in needed.items():
            if not path.is_derivation:
                raise InvalidDerivation(f"an input is no derivation: {path}", path="input_derivations")
            for name in names:
                _name_checked(name, "input_derivations")

    def _set(self, field: str, value: object) -> None:
        object.__setattr__(self, field, value)

    @property
    def kind(self) -> OutputKind:
        """The kind of its outputs, which is one and the same."""
        return next(iter(self.outputs.values())).kind

    @property
    def structured_attributes(self) -> Any | None:
        """The value of ``__json``; None without structured attributes.

        :class:`InvalidDerivation` when it is no JSON.
        """
        text = self.env.get(STRUCTURED_ATTRIBUTES)
        return None if text is None else _structured(text)

    @property
    def references(self) -> tuple[StorePath, ...]:
        """What the derivation's file in the store refers to: all inputs, sorted."""
        return tuple(sorted({*self.input_sources, *self.input_derivations}))

    def diff(
        self, other: Derivation, read: ReadDerivation | None = None, read_other: ReadDerivation | None = None
    ) -> DerivationDiff:
        """What changed from this derivation to ``other``; with functions that read inputs, in these too.

        See :func:`~tvixbuild_nb.nix.compare.derivation_diff`; ``read_other`` None: ``read`` reads those of both.
        """
        from tvixbuild_nb.nix.compare import derivation_diff  # which stands on this module

        return derivation_diff(self, other, read, read_other or read)

    def output_name(self, output: str) -> str:
        """The name in the store of one of its outputs."""
        return output_name(self.name, output)


def name_in(env: Mapping[bytes, bytes]) -> str:
    """The name that a derivation's environment gives it: ``name``, or that of the structured attributes.

    :class:`InvalidDerivation` when there is none.
    """
    name: object = None
    if b"name" in env:
        name = env[b"name"].decode("utf-8", "replace")
    elif STRUCTURED_ATTRIBUTES in env:
        attributes = _structured(env[STRUCTURED_ATTRIBUTES])
        name = attributes.get("name") if isinstance(attributes, dict) else None
    if not isinstance(name, str):
        raise InvalidDerivation("its environment does not say its name", path="name", hint="give it as name=")
    return name


def _structured(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidDerivation(f"__json is no JSON: {error}", path="env") from error


def _check_outputs(outputs: Mapping[str, Output]) -> None:
    for name in outputs:
        _name_checked(name, "outputs")
    kinds = sorted({output.kind for output in outputs.values()})
    if not kinds:
        raise InvalidDerivation("a derivation has at least one output", path="outputs")
    if len(kinds) > 1:
        raise InvalidDerivation(f"outputs are of one kind, not {' and '.join(kinds)}", path="outputs")
    if kinds == ["fixed"] and list(outputs) != ["out"]:
        raise InvalidDerivation(
            f"a derivation with a fixed output has that one only, called out, not {', '.join(outputs)}", path="outputs"
        )
    algorithms = {output.algorithm for output in outputs.values() if isinstance(output, _ContentAddressed)}
    if len(algorithms) > 1:
        raise InvalidDerivation(
            f"the hashes of all outputs are of one algorithm, not {' and '.join(sorted(algorithms))}", path="outputs"
        )


def _name_checked(name: str, field: str) -> None:
    try:
        check_name(name)
    except InvalidStorePath as error:
        raise InvalidDerivation(error.message, path=field, index=error.index) from error
