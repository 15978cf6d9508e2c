"""Two configurations compared part by part: members of lists are found by what names them, not by their position."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, overload

from tvixbuild_nb.display import mimebundle, plain, register
from tvixbuild_nb.oci.drawing import one_line
from tvixbuild_nb.oci.explanation import pointer
from tvixbuild_nb.oci.hiding import hidden
from tvixbuild_nb.oci.records import Records
from tvixbuild_nb.request.redactor import NOTHING_SECRET, Redactor

Kind = Literal["changed", "ours only", "theirs only", "order"]
Where = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """One part that is not the same.

    ``where`` in words, such as ``mounts[/tmp].options[mode]``; ``path``: the JSON pointer in our configuration, of what
    is nearest when only the other one has it; ``ours`` and ``theirs``: JSON data, None where ``kind`` says that a side
    has nothing; ``reason``: why, where it is known; ``asked_by``: who asked for ours, else for theirs.
    """

    where: str
    path: str
    kind: Kind
    ours: Any = None
    theirs: Any = None
    reason: str | None = None
    asked_by: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Diff(Sequence[Difference]):
    """The differences from ``other`` (its name), in the order of our configuration; empty when there are none."""

    other: str
    rows: tuple[Difference, ...]

    @overload
    def __getitem__(self, index: int) -> Difference: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Difference, ...]: ...
    def __getitem__(self, index: int | slice) -> Difference | tuple[Difference, ...]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Difference]:
        return iter(self.rows)

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows as JSON data."""
        return [row.to_dict() for row in self.rows]

    def __str__(self) -> str:
        if not self.rows:
            return f"no difference from {self.other}"
        return "\n".join(f"{row.where}: {_sides(row)}" + (f"  ({row.reason})" if row.reason else "") for row in self)

    def __rich__(self) -> Records:
        title = f"differences from {one_line(self.other)}: {len(self.rows) or 'none'}"
        cells = (
            (row.where, shown(row, "ours"), shown(row, "theirs"), row.reason or row.asked_by or "") for row in self.rows
        )
        return Records(title, ("where", "here", "there", "why"), [tuple(map(one_line, row)) for row in cells])

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


def shown(row: Difference, side: Literal["ours", "theirs"]) -> str:
    """One side of a difference as text; a dash where that side has nothing."""
    if row.kind == ("theirs only" if side == "ours" else "ours only"):
        return "–"
    value = getattr(row, side)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def between(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], other: str, hide: Iterable[Redactor] = (NOTHING_SECRET,)
) -> Diff:
    """Every difference between two configurations (JSON data), the smallest first, without what ``hide`` keeps secret.

    Small is what takes few characters as JSON.
    """
    rows = [_hidden(row, hide) for row in sorted(differences(ours, theirs), key=_size)]
    return Diff(other, tuple(rows))


def _size(row: Difference) -> int:
    return len(json.dumps([row.ours, row.theirs]))


def _hidden(row: Difference, hide: Iterable[Redactor]) -> Difference:
    ours, theirs, where = row.ours, row.theirs, row.where
    env = where.startswith("process.env[")
    for redactor in hide:
        ours, theirs = hidden(ours, redactor, env), hidden(theirs, redactor, env)
        where = redactor.text(where)
    return replace(row, ours=ours, theirs=theirs, where=where)


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[Difference]:
    """Every difference between two configurations (JSON data)."""
    return list(_differences(ours, theirs, (), "", ()))


def _differences(ours: Any, theirs: Any, pattern: Where, path: str, where: Where) -> Iterator[Difference]:
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        left = {str(key): (pointer(key), value) for key, value in ours.items()}
        right = {str(key): ("", value) for key, value in theirs.items()}
        yield from _members(left, right, pattern, path, where, named=False)
    elif isinstance(ours, list | tuple) and isinstance(theirs, list | tuple):
        left, right = _named(ours, pattern), _named(theirs, pattern)
        yield from _members(left, right, (*pattern, "*"), path, where, named=True)
        both = [name for name in left if name in right]
        there = [name for name in right if name in left]
        if pattern == ("mounts",) and both != there:
            yield Difference(f"{_joined(where)} (order)", path, "order", both, there)
    elif ours != theirs or type(ours) is not type(theirs):
        yield Difference(_joined(where), path, "changed", ours, theirs)


def _members(
    left: dict[str, tuple[str, Any]],
    right: dict[str, tuple[str, Any]],
    pattern: Where,
    path: str,
    where: Where,
    *,
    named: bool,
) -> Iterator[Difference]:
    for name in [*left, *(name for name in right if name not in left)]:
        there = (*where, f"[{name}]" if named else name)
        if name not in right:
            step, value = left[name]
            yield Difference(_joined(there), path + step, "ours only", ours=value)
        elif name not in left:
            yield Difference(_joined(there), path, "theirs only", theirs=right[name][1])
        else:
            (step, value), (_, other) = left[name], right[name]
            yield from _differences(value, other, pattern if named else (*pattern, name), path + step, there)


def _before_equals(item: Any) -> str:
    return str(item).partition("=")[0]


_NAMES: Final[dict[Where, Callable[[Any], str]]] = {
    ("mounts",): lambda item: str(item["destination"]),
    ("mounts", "*", "options"): _before_equals,
    ("process", "env"): _before_equals,
    ("process", "rlimits"): lambda item: str(item["type"]),
    ("linux", "namespaces"): lambda item: str(item["type"]),
    ("linux", "uidMappings"): lambda item: str(item["containerID"]),
    ("linux", "gidMappings"): lambda item: str(item["containerID"]),
    ("linux", "maskedPaths"): str,
    ("linux", "readonlyPaths"): str,
    **{
        ("process", "capabilities", name): str
        for name in ("bounding", "effective", "inheritable", "permitted", "ambient")
    },
}


def _named(items: Sequence[Any], pattern: Where) -> dict[str, tuple[str, Any]]:
    """The members of a list by name, or by position where nothing names them; a name's second bearer is ``name#2``."""
    name_of = _NAMES.get(pattern)
    found: dict[str, tuple[str, Any]] = {}
    seen: Counter[str] = Counter()
    for index, item in enumerate(items):
        try:
            name = str(index) if name_of is None else name_of(item)
        except (KeyError, TypeError):
            name = str(index)
        seen[name] += 1
        found[name if seen[name] == 1 else f"{name}#{seen[name]}"] = (pointer(index), item)
    return found


def _joined(where: Where) -> str:
    return "".join(step if step.startswith("[") else f".{step}" for step in where).removeprefix(".")


def with_reason(row: Difference, reason: str | None, asked_by: str | None) -> Difference:
    """The same difference, and why it is there."""
    return replace(row, reason=reason, asked_by=asked_by)


def _sides(row: Difference) -> str:
    return f"{one_line(shown(row, 'ours'))} | {one_line(shown(row, 'theirs'))}"


register(Diff, plain)
