"""What differs between two derivations and what they are built from: causes, without what only follows from them."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tvixbuild_nb.display import mimebundle, plain, register
from tvixbuild_nb.nix.derivation import DERIVATION_SUFFIX, Derivation, Output
from tvixbuild_nb.nix.modulo import ReadDerivation
from tvixbuild_nb.nix.storepath import StorePath
from tvixbuild_nb.request import Change, Changes
from tvixbuild_nb.request.compare import shortened, text_change

_HASH_PART = re.compile(rb"(?<![0-9a-z])[0-9abcdfghijklmnpqrsvwxyz]{32}(?=-)")
_NAME_ONLY = b"*"


@dataclass(frozen=True, slots=True)
class DerivationChanges:
    """Two derivations that differ by themselves: ``way``, the names from the compared one to this one, and how."""

    way: tuple[str, ...]
    changes: Changes

    def __str__(self) -> str:
        return "\n".join([f"{' > '.join(self.way)}:", *(f"  {change}" for change in self.changes)])


@dataclass(frozen=True, slots=True)
class DerivationDiff:
    """The derivations that differ by themselves, the nearest first, each once and by the shortest way to it.

    ``same``: whether the compared ones are equal. What differs in a hash part of a store path only follows from other
    differences and is not told where these are; so ``found`` can be one derivation deep below the compared ones.
    """

    same: bool
    found: tuple[DerivationChanges, ...]

    def __iter__(self) -> Iterator[DerivationChanges]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __bool__(self) -> bool:
        return not self.same

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows as JSON data."""
        return [{"way": list(each.way), "changes": each.changes.to_dicts()} for each in self.found]

    def __str__(self) -> str:
        return "\n".join(map(str, self.found)) or "no difference"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


register(DerivationDiff, plain)


def derivation_diff(
    old: Derivation, new: Derivation, read_old: ReadDerivation | None = None, read_new: ReadDerivation | None = None
) -> DerivationDiff:
    """What changed from ``old`` to ``new``.

    Parameters: ``read_old`` and ``read_new`` read the derivations of the inputs; without both, an input that is another
    one is told by its path. Raises what they raise. Equal inputs are not looked into: their paths are the same.
    """
    deep = None if read_old is None or read_new is None else (read_old, read_new)
    todo: deque[tuple[tuple[str, ...], Derivation, Derivation]] = deque([((new.name,), old, new)])
    seen: set[tuple[StorePath, StorePath]] = set()
    found = []
    while todo:
        way, before, after = todo.popleft()
        pairs = _pairs(before, after) if deep is not None else {}
        changes = Changes.of(_causes(list(_changes(before, after, pairs)), bool(pairs)))
        if changes:
            found.append(DerivationChanges(way, changes))
        for name, pair in pairs.items():
            if deep is not None and pair not in seen:
                seen.add(pair)
                todo.append(((*way, name), deep[0](pair[0]), deep[1](pair[1])))
    return DerivationDiff(old == new, tuple(found))


def _pairs(old: Derivation, new: Derivation) -> dict[str, tuple[StorePath, StorePath]]:
    """Name -> the input derivation before and after, where there is one of that name in both and another one now."""
    before, after = _by_name(old), _by_name(new)
    return {
        name.removesuffix(DERIVATION_SUFFIX): (before[name][0], after[name][0])
        for name in sorted(before.keys() & after.keys())
        if len(before[name]) == len(after[name]) == 1 and before[name] != after[name]
    }


def _by_name(derivation: Derivation) -> Mapping[str, list[StorePath]]:
    found: dict[str, list[StorePath]] = {}
    for path in derivation.input_derivations:
        found.setdefault(path.name, []).append(path)
    return found


@dataclass(frozen=True, slots=True)
class _Found:
    change: Change
    follows: bool  # when what is behind the store paths differs


def _causes(found: list[_Found], inputs_differ: bool) -> list[Change]:
    causes = [each.change for each in found if not each.follows]
    # With nothing else to tell, the paths are what differs.
    return causes if causes or inputs_differ else [each.change for each in found]


def _changes(old: Derivation, new: Derivation, pairs: Mapping[str, tuple[StorePath, StorePath]]) -> Iterator[_Found]:
    for field in ("name", "system", "builder"):
        yield from _value(field, _bytes(getattr(old, field)), _bytes(getattr(new, field)))
    for index in range(max(len(old.args), len(new.args))):
        yield from _value(f"args[{index}]", _at(old.args, index), _at(new.args, index))
    for key in sorted(old.env.keys() | new.env.keys()):
        yield from _value(f"env[{_shown(key)}]", old.env.get(key), new.env.get(key))
    for name in sorted(old.outputs.keys() | new.outputs.keys()):
        yield from _value(f"outputs[{name}]", _output(old.outputs.get(name)), _output(new.outputs.get(name)))
    yield from _paths("input_sources", set(old.input_sources), set(new.input_sources))
    known = [set(derivation.input_derivations) - {pair[side] for pair in pairs.values()}
             for side, derivation in enumerate((old, new))]  # fmt: skip
    yield from _paths("input_derivations", known[0], known[1])
    before, after = _outputs_needed(old), _outputs_needed(new)
    for name in sorted(before.keys() & after.keys()):
        yield from _value(f"input_derivations[{name}]", before[name], after[name])


def _outputs_needed(derivation: Derivation) -> dict[str, bytes]:
    needed = {name: paths[0] for name, paths in _by_name(derivation).items() if len(paths) == 1}
    return {name: " ".join(derivation.input_derivations[path]).encode() for name, path in needed.items()}


def _paths(field: str, old: set[StorePath], new: set[StorePath]) -> Iterator[_Found]:
    gone, come = old - new, new - old
    for name in sorted({path.name for path in gone | come}):
        before, after = (sorted(str(path) for path in side if path.name == name) for side in (gone, come))
        for index in range(max(len(before), len(after))):
            texts = [side[index] if index < len(side) else None for side in (before, after)]
            yield _Found(text_change(f"{field}[{name}]", texts[0], texts[1], size=(1, 0)), follows=False)


def _value(field: str, old: bytes | None, new: bytes | None) -> Iterator[_Found]:
    if old == new:
        return
    texts = [None if data is None else data.decode("utf-8", "backslashreplace") for data in (old, new)]
    follows = old is not None and new is not None and _HASH_PART.sub(_NAME_ONLY, old) == _HASH_PART.sub(_NAME_ONLY, new)
    yield _Found(text_change(field, texts[0], texts[1]), follows)


def _output(output: Output | None) -> bytes | None:
    if output is None:
        return None
    words = [output.kind, "" if output.path is None else str(output.path)]
    words += [str(getattr(output, name)) for name in ("hash_algorithm", "hash") if hasattr(output, name)]
    return " ".join(filter(None, words)).encode()


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _at(args: tuple[bytes, ...], index: int) -> bytes | None:
    return args[index] if index < len(args) else None


def _shown(data: bytes) -> str:
    return shortened(data.decode("utf-8", "backslashreplace"))[0]
