"""Exercises by their names: asked, hinted at, solved, checked."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tvixbuild_nb.errors import InvalidValue
from tvixbuild_nb.lab.exercises.exercise import Exercise
from tvixbuild_nb.lab.exercises.telling import Feedback, Told
from tvixbuild_nb.request.model import did_you_mean

# Modules beside this one, each with a tuple EXERCISES.
_MODULES = ("addressing", "basics", "describing", "isolating", "limits", "repairing", "travelling")
_own: dict[str, Exercise] = {}


def register(exercise: Exercise) -> Exercise:
    """Make an exercise of one's own known by its name; a later one of that name displaces it. Returns it."""
    _own[exercise.name] = exercise
    return exercise


def known() -> dict[str, Exercise]:
    """Every exercise there is, by name."""
    return shipped() | _own


def shipped() -> dict[str, Exercise]:
    """Those of this package, by name."""
    modules = (import_module(f"tvixbuild_nb.lab.exercises.{name}") for name in _MODULES)
    return {each.name: each for module in modules for each in module.EXERCISES}


def exercise(name: str) -> Exercise:
    """The exercise of this name, which shows its question; :class:`InvalidValue` names the nearest one."""
    found = known()
    if name not in found:
        raise InvalidValue(f"there is no exercise {name!r}", path="name", hint=did_you_mean(name, found))
    return found[name]


def check(name: str, *answers: Any) -> Feedback:
    """Feedback when the answers to the exercise ``name`` are right; :class:`CheckFailed` says what is not right yet."""
    return Feedback(f"✓ {name}: right", "\n".join(exercise(name).check(*answers)))


def hint(name: str) -> Told:
    """Where to look for the answer."""
    return Told(f"hint for {name}", exercise(name).hint)


def solution(name: str) -> Told:
    """Code that answers it; there are others."""
    return Told(f"one solution of {name}", "", exercise(name).solution.strip())
