"""Exercise: a question, and what belongs to it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvixbuild_nb.errors import CheckFailed, InvalidValue

Check = Callable[..., str | None]
"""Looks at the answers: returns what is worth saying about right ones, and raises :class:`CheckFailed` for others."""


@dataclass(frozen=True, slots=True)
class Exercise:
    """``question`` and ``hint`` are plain English, ``solution`` is code that a cell can execute.

    ``checks`` are called one after the other with the answers; their parameters' names are what the answers are called.
    """

    name: str
    question: str
    hint: str
    checks: tuple[Check, ...]
    solution: str

    def __post_init__(self) -> None:
        for field in ("name", "question", "hint", "solution"):
            if not getattr(self, field).strip():
                raise InvalidValue("an exercise needs one", path=field)
        if not self.checks:
            raise InvalidValue("an exercise needs a check", path="checks")

    def check(self, *answers: Any) -> tuple[str, ...]:
        """What there is to say about right answers; :class:`CheckFailed` for others, and for another number of them."""
        wanted = inspect.signature(self.checks[0])
        try:
            wanted.bind(*answers)
        except TypeError:
            names = ", ".join(wanted.parameters)
            raise CheckFailed(
                f"{len(answers)} answers were given",
                exercise=self.name,
                expected=f"lab.check({self.name!r}, {names})",
            ) from None
        said = []
        for check in self.checks:
            try:
                said.append(check(*answers))
            except CheckFailed as failed:
                failed.path = failed.path or self.name
                raise
        return tuple(text for text in said if text)

    def __str__(self) -> str:
        return f"{self.name}: {self.question}"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        from tvixbuild_nb.lab.exercises.telling import Told

        return Told(f"exercise {self.name}", self.question)._repr_mimebundle_()
