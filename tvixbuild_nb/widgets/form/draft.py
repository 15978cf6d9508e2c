"""What stands in a request form: a draft, which may be wrong, beside the sandbox, which takes only what is right."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

from tvixbuild_nb.castore import Node
from tvixbuild_nb.errors import InvalidRequest
from tvixbuild_nb.sandbox import Sandbox

LISTS = ("command", "outputs", "scratch_paths", "available_ro_paths", "refscan_needles")
PAIRS = ("env", "additional_files")
SCALARS = ("working_dir", "inputs_dir", "system", "min_memory", "network_access", "provide_bin_sh", "constrained")
SHELL = ("/bin/sh", "-c")


class Given(NamedTuple):
    """One input: its name in the build, what it is, and where it is from in words (None: nobody knows)."""

    name: str
    node: Node
    origin: str | None


@dataclass(slots=True)
class Row:
    """One item of a list, one pair or one input; ``number`` stays the same wherever the row moves."""

    number: int
    value: Any
    # Of a variable: the name by which it is secret in the sandbox; it stays so while its name is edited.
    secret: str | None = None


class Draft:
    """The fields of a sandbox, as they stand in its form.

    What Python changes is taken over field by field (:meth:`take`); what the form changes is written back field by
    field (:meth:`write`), so neither side undoes the other's work on another field.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._numbers = count(1)
        self.rows: dict[str, list[Row]] = {name: [] for name in (*LISTS, *PAIRS, "inputs")}
        self.scalars: dict[str, Any] = {}
        self._seen: dict[str, Any] = {}
        self.take(sandbox)

    def take(self, sandbox: Sandbox) -> frozenset[str]:
        """Take over the fields that changed in the sandbox since the last look; their names."""
        now = read(sandbox)
        changed = frozenset(name for name in now if name not in self._seen or now[name] != self._seen[name])
        self._seen = now
        self._adopt(changed)
        return changed

    def write(self, sandbox: Sandbox, but: Collection[str] = ()) -> frozenset[str]:
        """Write the fields that differ into the sandbox, ``but`` not these; their names. They must be valid."""
        held = {*but, "secrets"} if "env" in but else set(but)
        changed = frozenset(name for name in self._seen if name not in held and self.differs(name))
        if "secrets" in changed:
            # Under both names, so that a renamed variable is never to be seen in between.
            sandbox.secrets = tuple(dict.fromkeys((*self._seen["secrets"], *self.secrets)))
        for name in changed:
            match name:
                case "inputs":
                    for gone in sandbox.inputs.keys() - self.value("inputs").keys():
                        del sandbox.inputs[gone]
                    for given in self.inputs:
                        if sandbox.inputs.get(given.name) != given.node:
                            sandbox.add_input(given.name, given.node, origin=given.origin)
                case "constrained" | "origins" | "secrets":
                    continue
                case "env" | "additional_files":
                    setattr(sandbox, name, dict(self.value(name)))
                case _:
                    setattr(sandbox, name, self.value(name))
        if "secrets" in changed:
            sandbox.secrets = self.secrets
        if "constrained" in changed:
            sandbox.constraints = self.constraints() if self.scalars["constrained"] else None
        # Only these: what Python changed meanwhile in other fields is still to be taken over.
        now = read(sandbox)
        self._seen |= {name: now[name] for name in changed}
        if "secrets" in changed:
            self._note_secrets()
        return changed

    def revert(self) -> None:
        """Forget what was never written."""
        self._adopt(frozenset(name for name in self._seen if self.differs(name)))

    def differs(self, name: str) -> bool:
        """Whether a field reads otherwise than in the sandbox."""
        return bool(self.value(name) != self._seen[name])

    def kept(self, name: str) -> Any:
        """A field as the sandbox had it at the last look."""
        return self._seen[name]

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secret variables, as they read in the form."""
        renamed = {row.secret: row.value[0] for row in self.rows["env"]}
        return tuple(renamed.get(name, name) for name in self._seen["secrets"])

    def value(self, name: str) -> Any:
        """A field as the sandbox has it: a tuple, a tuple of pairs, a dict of inputs, or a single value."""
        if name == "inputs":
            named = {given.name: given.node for given in self.inputs}
            # No sandbox can have two of one name: this is equal to nothing there.
            return named if len(named) == len(self.inputs) else tuple(self.inputs)
        if name == "origins":
            return {given.name: given.origin for given in self.inputs}
        if name == "secrets":
            return self.secrets
        if name in self.rows:
            return tuple(row.value for row in self.rows[name])
        value = self.scalars[name]
        if name == "min_memory" and isinstance(value, str) and value.isascii() and value.isdecimal():
            return int(value)
        return value

    @property
    def inputs(self) -> tuple[Given, ...]:
        """The inputs in the form's order; while somebody types, two may have one name."""
        return tuple(row.value for row in self.rows["inputs"])

    def constraints(self) -> Any:
        """The constraints of a valid draft."""
        from tvixbuild_nb.request import BuildConstraints

        names = ("system", "min_memory", "available_ro_paths", "network_access", "provide_bin_sh")
        return BuildConstraints(**{name: self.value(name) for name in names})

    # -- changes ----------------------------------------------------------------------------------

    def row(self, field: str, number: int) -> Row | None:
        """The row of that number; None when it is gone."""
        return next((row for row in self.rows[field] if row.number == number), None)

    def add(self, field: str, value: Any, after: int | None = None) -> int:
        """A new row, after another or at the end; its number."""
        rows = self.rows[field]
        row = Row(next(self._numbers), value)
        before = self.row(field, after) if after is not None else None
        rows.insert(len(rows) if before is None else rows.index(before) + 1, row)
        return row.number

    def remove(self, field: str, number: int) -> None:
        """Take a row away."""
        self.rows[field] = [row for row in self.rows[field] if row.number != number]

    def set_rows(self, field: str, values: Iterable[Any]) -> None:
        """These values instead of a list's; rows keep their numbers where they can."""
        self.rows[field] = self._renumbered(self.rows[field], list(values), named=field not in LISTS)

    # -- inside -----------------------------------------------------------------------------------

    def _adopt(self, names: frozenset[str]) -> None:
        for name in names:
            value = self._seen[name]
            if name in ("inputs", "origins"):
                nodes, origins = self._seen["inputs"], self._seen["origins"]
                self.set_rows("inputs", [Given(key, nodes[key], origins[key]) for key in sorted(nodes, key=str)])
            elif name in self.rows:
                self.set_rows(name, value)
            elif name == "secrets":
                continue
            elif name == "min_memory" and isinstance(value, int) and not isinstance(value, bool):
                self.scalars[name] = str(value)
            else:
                self.scalars[name] = value
        if names & {"env", "secrets"}:
            self._note_secrets()

    def _note_secrets(self) -> None:
        known = self._seen["secrets"]
        for row in self.rows["env"]:
            key = row.value[0]
            row.secret = key if key in known else row.secret if row.secret in known else None

    def _renumbered(self, rows: list[Row], values: list[Any], *, named: bool) -> list[Row]:
        if named:
            known: dict[Any, int | None] = {row.value[0]: row.number for row in rows}
            return [Row(known.pop(value[0], None) or next(self._numbers), value) for value in values]
        old = [row.value for row in rows]
        head = _same(old, values)
        tail = min(_same(old[::-1], values[::-1]), len(old) - head, len(values) - head)
        middle = iter([row.number for row in rows[head : len(rows) - tail]])
        numbers = [row.number for row in rows[:head]]
        numbers += [next(middle, None) or next(self._numbers) for _ in values[head : len(values) - tail]]
        numbers += [row.number for row in rows[len(rows) - tail :]]
        return [Row(number, value) for number, value in zip(numbers, values, strict=True)]


def read(sandbox: Sandbox) -> dict[str, Any]:
    """The fields of a sandbox that make its request, whether they are valid or not."""
    fields: dict[str, Any] = {name: _items(getattr(sandbox, name)) for name in LISTS}
    fields |= {name: _pairs(getattr(sandbox, name)) for name in PAIRS}
    fields |= {name: getattr(sandbox, name) for name in SCALARS if name != "constrained"}
    fields["constrained"] = _constrained(sandbox)
    fields["inputs"] = dict(sandbox.inputs)
    fields["origins"] = {name: sandbox.origin(name) for name in fields["inputs"]}
    fields["secrets"] = tuple(sandbox.secrets)
    return fields


def _items(value: object) -> tuple[Any, ...]:
    if isinstance(value, (str, bytes, os.PathLike)) or not isinstance(value, Iterable):
        return (value,)
    return tuple(value)


def _pairs(value: object) -> tuple[tuple[Any, Any], ...]:
    return tuple(dict(value).items()) if isinstance(value, Mapping) else ((value, ""),)


def _constrained(sandbox: Sandbox) -> bool:
    try:
        return sandbox.constraints is not None
    except InvalidRequest:
        return True


def _same(left: list[Any], right: list[Any]) -> int:
    return next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
