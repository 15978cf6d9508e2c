"""What is wrong with a draft: every field and every row for itself, in the words of the request's own rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tvixbuild_nb.errors import InvalidRequest
from tvixbuild_nb.request import BuildConstraints, BuildRequest
from tvixbuild_nb.widgets.form.draft import LISTS, PAIRS, Draft, Given

_CALLED = {"command": "command_args", "env": "environment_vars"}
_HERE = {called: name for name, called in _CALLED.items()}
_CONSTRAINTS = ("system", "min_memory", "available_ro_paths", "network_access", "provide_bin_sh")

# Fields with rules about each other, and what they are called when others wait for them.
_TOGETHER = ("outputs", "scratch_paths", "inputs_dir", "inputs")
_SAID = {
    "outputs": "outputs",
    "scratch_paths": "scratch paths",
    "inputs_dir": "directory of the inputs",
    "inputs": "inputs",
    "system": "system",
    "min_memory": "memory",
    "available_ro_paths": "read-only paths of the host",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A rule that is broken: in which field, in which row of it (None: the field as a whole), and what to do."""

    field: str
    row: int | None
    message: str
    hint: str | None = None


def faults_of(draft: Draft) -> tuple[Fault, ...]:
    """Everything that is wrong; empty when the draft makes a valid request. Pure, and needs no store."""
    found = [fault for name in (*LISTS, *PAIRS) for fault in _row_faults(draft, name)]
    found += [fault for name in ("working_dir", "inputs_dir", *_CONSTRAINTS) for fault in _single_fault(draft, name)]
    found += _input_faults(draft)
    if all(fault.field != "env" for fault in found):
        found += _secret_fault(draft)
    return (*found, *_held(draft, {fault.field for fault in found})) if found else tuple(_whole(draft))


def _row_faults(draft: Draft, name: str) -> Iterator[Fault]:
    rows = draft.rows[name]
    if name == "available_ro_paths" and not draft.scalars["constrained"]:
        return
    alone = False
    for index, row in enumerate(rows):
        # The first argument has a rule of its own.
        before = ["x"] if name == "command" and index else []
        error = _tried(draft, name, [*before, row.value])
        if error is not None:
            alone = True
            yield Fault(name, row.number, error.message, error.hint)
    if not alone and (error := _tried(draft, name, [row.value for row in rows])) is not None:
        number = None if error.index is None else rows[error.index].number
        yield Fault(name, number, error.message, error.hint)


def _single_fault(draft: Draft, name: str) -> Iterator[Fault]:
    if name == "available_ro_paths" or (name in _CONSTRAINTS and not draft.scalars["constrained"]):
        return
    if (error := _tried(draft, name, draft.value(name))) is not None:
        yield Fault(name, None, error.message, error.hint)


def _input_faults(draft: Draft) -> Iterator[Fault]:
    names = [given.name for given in draft.inputs]
    for row in draft.rows["inputs"]:
        given: Given = row.value
        if (error := _refused(inputs={given.name: given.node})) is not None:
            yield Fault("inputs", row.number, error.message, error.hint)
        elif names.count(given.name) > 1:
            yield Fault("inputs", row.number, "several inputs have this name", "an input is known by its name alone")


def _secret_fault(draft: Draft) -> Iterator[Fault]:
    from tvixbuild_nb.sandbox.secrets import check_secrets

    try:
        check_secrets(dict(draft.value("env")), draft.secrets)
    except InvalidRequest as error:
        yield Fault("env", None, error.message, error.hint)


def _held(draft: Draft, wrong: set[str]) -> Iterator[Fault]:
    """Fields that are right, but would break a valid sandbox, which keeps its own of the ``wrong`` ones."""
    kept = {name: draft.kept(name) for name in _TOGETHER}
    changed = [name for name in _TOGETHER if name not in wrong and draft.differs(name)]
    mixed = kept | {name: draft.value(name) for name in changed}
    if _refused(**kept) is None and _refused(**mixed) is not None:
        for name in changed:
            yield _waiting(name, wrong.intersection(_TOGETHER))
    if draft.scalars["constrained"] is True and draft.differs("constrained") and wrong.intersection(_CONSTRAINTS):
        yield _waiting("constrained", wrong.intersection(_CONSTRAINTS))


def _waiting(name: str, others: set[str]) -> Fault:
    called = ", ".join(_SAID[other] for other in sorted(others))
    return Fault(name, None, f"not in the sandbox yet: {called} must be put right first")


def _tried(draft: Draft, name: str, value: Any) -> InvalidRequest | None:
    if name in _CONSTRAINTS:
        try:
            BuildConstraints(**{"system": "x", name: value})
        except InvalidRequest as error:
            return error
        return None
    beside: dict[str, Any] = {}
    if name == "outputs":
        scratch = dict.fromkeys(row.value for row in draft.rows["scratch_paths"] if isinstance(row.value, str))
        beside["scratch_paths"] = [path for path in scratch if _refused(scratch_paths=[path]) is None]
        directory = draft.scalars["inputs_dir"]
        if _refused(inputs_dir=directory) is None:
            nodes = {given.name: given.node for given in draft.inputs}
            nodes = {key: node for key, node in nodes.items() if _refused(inputs={key: node}) is None}
            beside |= {"inputs_dir": directory, "inputs": nodes}
    return _refused(**{**beside, _CALLED.get(name, name): value})


def _refused(**fields: Any) -> InvalidRequest | None:
    try:
        BuildRequest(**{"command_args": ("x",), **fields})
    except InvalidRequest as error:
        return error
    return None


def _whole(draft: Draft) -> Iterator[Fault]:
    names = ("working_dir", "inputs_dir", "inputs", *PAIRS, *(name for name in LISTS if name != "available_ro_paths"))
    try:
        BuildRequest(
            **{_CALLED.get(name, name): draft.value(name) for name in names},
            constraints=draft.constraints() if draft.scalars["constrained"] else None,
        )
    except InvalidRequest as error:
        name = (error.path or "").removeprefix("constraints.")
        yield Fault(_HERE.get(name, name), None, error.message, error.hint)
