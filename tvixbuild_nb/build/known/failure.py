"""One known text: what it looks like, why it appears, what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Stage = Literal["setup", "exec", "build", "output"]


@dataclass(frozen=True, slots=True)
class Failure:
    """One known text: ``pattern`` (a regular expression within one line), why it appears, what to do about it.

    ``stage`` is whose fault it is, in the words of ``Run.failed_at``. ``cause`` and ``cure`` may name groups of the
    pattern in braces. ``symptom`` marks a text that only follows from another one above it. ``source`` names an issue.
    ``elsewhere`` is the cure where ``cure`` cannot be followed: there is no Sandbox and no Run, but a derivation, or a
    log that somebody pasted.
    """

    stage: Stage
    pattern: str
    cause: str
    cure: str
    symptom: bool = False
    source: str | None = None
    elsewhere: str | None = None
