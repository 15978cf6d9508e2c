"""Hashing derivations modulo what does not matter, and with it whether their output paths are right.

A derivation's hash modulo is that of its text with the own output paths left empty and with each input derivation's
hash in place of its path, where a fixed output counts by its content alone. How a source is downloaded thus changes
nothing in the paths of what is built from it. Told in Nix's manual and in Dolstra's thesis, 5.4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tvixbuild_nb.errors import InvalidDerivation
from tvixbuild_nb.nix.aterm import write_aterm
from tvixbuild_nb.nix.derivation import DERIVATION_SUFFIX, Derivation, Fixed, InputAddressed
from tvixbuild_nb.nix.hashes import NixHash
from tvixbuild_nb.nix.storepath import StorePath

ReadDerivation = Callable[[StorePath], Derivation]
_IMPURE = NixHash.of("sha256", b"impure")


@dataclass(frozen=True, slots=True)
class HashModulo:
    """What a derivation counts for in those that are built from it.

    ``deferred``: its outputs' paths are known only once they are built, so that those of what is built from it cannot
    be computed now.
    """

    hash: NixHash
    deferred: bool
    outputs: frozenset[str]


class HashesModulo:
    """Computes hashes modulo, each derivation's once.

    ``read`` gives the derivation at a path, and raises what it likes where it cannot. Chains of dependencies may be of
    any length; only the derivations on the way to the one at work are held in memory.
    """

    def __init__(self, read: ReadDerivation) -> None:
        self._read = read
        self._known: dict[StorePath, HashModulo] = {}

    def of_path(self, path: StorePath) -> HashModulo:
        """The hash of the derivation at ``path``, as those that are built from it count it.

        :class:`InvalidDerivation` where one needs itself, or an output that an input has not.
        """
        if path not in self._known:
            self._learn(path)
        return self._known[path]

    def of(self, derivation: Derivation, *, mask_outputs: bool = True) -> HashModulo:
        """The hash of ``derivation``; by default with its own output paths left empty, as they are computed from it."""
        for path in derivation.input_derivations:
            self.of_path(path)
        return self._combined(derivation, mask_outputs)

    def _learn(self, path: StorePath) -> None:
        first = self._read(path)
        way: dict[StorePath, tuple[Derivation, Iterator[StorePath]]] = {path: (first, _inputs_counted(first))}
        while way:
            path, (derivation, inputs) = next(reversed(way.items()))
            missing = next((each for each in inputs if each not in self._known), None)
            if missing is None:
                self._known[path] = self._combined(derivation, mask_outputs=False)
                del way[path]
            elif missing in way:
                raise InvalidDerivation(f"needs itself to be built, through {path}", path=str(missing))
            else:
                found = self._read(missing)
                way[missing] = (found, _inputs_counted(found))

    def _combined(self, derivation: Derivation, mask_outputs: bool) -> HashModulo:
        names = frozenset(derivation.outputs)
        if derivation.kind == "impure":
            return HashModulo(_IMPURE, True, names)
        for output in derivation.outputs.values():
            if isinstance(output, Fixed):
                return HashModulo(_fixed_hash(derivation, output), False, names)
        needed: dict[str, set[str]] = {}
        deferred = derivation.kind == "floating"
        for path, outputs in derivation.input_derivations.items():
            found = self._known[path]
            deferred = deferred or found.deferred
            if not found.outputs.issuperset(outputs):
                lacking = ", ".join(sorted(set(outputs) - found.outputs))
                raise InvalidDerivation(f"{path} has no output {lacking}", path=derivation.name)
            if outputs:
                needed.setdefault(found.hash.base16, set()).update(outputs)
        text = write_aterm(derivation, mask_outputs=mask_outputs, inputs=needed)
        return HashModulo(NixHash.of("sha256", text), deferred, names)


def _inputs_counted(derivation: Derivation) -> Iterator[StorePath]:
    # What a fixed or impure output is made from does not count, and need not even be there.
    return iter(() if derivation.kind in ("fixed", "impure") else derivation.input_derivations)


def _fixed_hash(derivation: Derivation, output: Fixed) -> NixHash:
    path = derivation.store_dir.join(_fixed_path(derivation, output))
    return NixHash.of("sha256", f"fixed:out:{output.hash_algorithm}:{output.hash.base16}:{path}".encode())


def _fixed_path(derivation: Derivation, output: Fixed) -> StorePath:
    return derivation.store_dir.fixed_output_path(derivation.output_name("out"), output.method, output.hash)


def derivation_path(derivation: Derivation) -> StorePath:
    """Where the derivation's own file lies in the store: a text with references to all of its inputs."""
    name = derivation.name + DERIVATION_SUFFIX
    return derivation.store_dir.text_path(name, write_aterm(derivation), derivation.references)


def output_paths(derivation: Derivation, hashes: HashesModulo) -> dict[str, StorePath | None]:
    """The paths that the outputs must have; None for what only building can tell."""
    inner = hashes.of(derivation).hash if derivation.kind == "input-addressed" else None
    paths: dict[str, StorePath | None] = {}
    for name, output in derivation.outputs.items():
        if isinstance(output, Fixed):
            paths[name] = _fixed_path(derivation, output)
        else:
            paths[name] = None if inner is None else derivation.store_dir.output_path(derivation.name, name, inner)
    return paths


@dataclass(frozen=True, slots=True)
class WrongPath:
    """An output path that is not what the derivation's contents give.

    ``wanted`` is computed, ``got`` what stands in the derivation: for the output itself, or (``variable``) in the
    environment's variable of its name, None where there is none.
    """

    output: str
    variable: bool
    wanted: str
    got: str | None

    def __str__(self) -> str:
        what = f"environment variable {self.output}" if self.variable else f"output {self.output}"
        return f"{what}: wanted {self.wanted}, got {'nothing' if self.got is None else self.got}"


def wrong_paths(derivation: Derivation, hashes: HashesModulo) -> tuple[WrongPath, ...]:
    """Compare the output paths, and the variables that hold them, with those computed; empty when all are right.

    What only building can tell is not looked at.
    """
    return tuple(_wrong_paths(derivation, hashes))


def _wrong_paths(derivation: Derivation, hashes: HashesModulo) -> Iterator[WrongPath]:
    join = derivation.store_dir.join
    for name, path in output_paths(derivation, hashes).items():
        output = derivation.outputs[name]
        if path is None or not isinstance(output, InputAddressed | Fixed):
            continue
        wanted = join(path)
        if output.path != path:
            yield WrongPath(name, False, wanted, join(output.path))
        value = derivation.env.get(name.encode())
        got = None if value is None else value.decode("utf-8", "replace")
        if got != wanted:
            yield WrongPath(name, True, wanted, got)
