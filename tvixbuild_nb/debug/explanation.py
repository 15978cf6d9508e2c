"""Explanation: why a run failed, as far as it can be known, with evidence and a cure for each cause."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tvixbuild_nb.display import mimebundle, plain, register

Confidence = Literal["certain", "likely", "possible"]
CONFIDENCES: tuple[Confidence, ...] = ("certain", "likely", "possible")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One fact behind a finding: a ``file`` or ``mount`` inside, a line of the ``log``, the ``verdict``, a figure.

    ``text`` is the fact in words, for a log the line itself; ``line`` its number from 1 as in ``run.log``.
    """

    kind: Literal["file", "mount", "log", "verdict", "usage", "process"]
    text: str
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.kind}{'' if self.line is None else f' line {self.line}'}: {self.text}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One cause, what it is known from, and ``cure``: what to do, as lines to paste where that can be said in code."""

    cause: str
    evidence: tuple[Evidence, ...]
    cure: str
    confidence: Confidence

    @property
    def lines(self) -> frozenset[int]:
        """The numbers of the log's lines this rests on."""
        return frozenset(evidence.line for evidence in self.evidence if evidence.line is not None)

    @property
    def brief(self) -> str:
        """Cause and cure in one line: the code first, so that it can be pasted, then its comment.

        Of several comments none: they stand beside what they are about in the whole text alone.
        """
        code, comments = [], []
        for line in self.cure.split("\n"):
            if line.startswith("# "):
                comments.append(line[2:])
                continue
            before, _, comment = line.partition("  # ")
            code.append(before)
            comments += [comment] if comment else []
        told = comments if len(comments) == 1 or not code else []
        parts = ["; ".join(code), f"# {'; '.join(told)}" if told else ""]
        return f"{self.cause}: {'  '.join(part for part in parts if part)}"

    def __str__(self) -> str:
        cure = self.cure.replace("\n", "\n      ")
        return "\n".join([
            f"{self.cause} ({self.confidence})",
            *(f"  {evidence}" for evidence in self.evidence),
            f"  do: {cure}",
        ])  # fmt: skip


@dataclass(frozen=True, slots=True)
class Explanation:
    """The findings, the surest first; empty when nothing is wrong, and when nothing is known of what is.

    ``wrong``: whether something is. ``known``: then the bare facts, one line each, for who has to look further.
    ``unseen``: what could not be looked into, and why, one line each. ``otherwise``: what is to say when nothing is.
    """

    findings: tuple[Finding, ...] = ()
    wrong: bool = False
    known: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    otherwise: str = "nothing is wrong"

    @property
    def first(self) -> Finding | None:
        """The finding to tell where there is room for one; None when none is better than possible."""
        return self.findings[0] if self.findings and self.findings[0].confidence != "possible" else None

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __bool__(self) -> bool:
        return bool(self.findings)

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "wrong": self.wrong,
            "findings": [asdict(finding) for finding in self.findings],
            "known": list(self.known),
            "unseen": list(self.unseen),
        }

    def __str__(self) -> str:
        if not self.wrong:
            return self.otherwise
        lines = [*map(str, self.findings), *self.notes()]
        return "\n".join(lines)

    def notes(self) -> list[str]:
        """What is said after the findings: the facts where nothing is sure, and what could not be looked into."""
        lines = []
        if self.first is None:
            why = "why it failed is not known" if not self.findings else "that is not sure"
            lines = [f"{why}; what is known:", *(f"  {line}" for line in self.known)]
        return [*lines, *(f"not looked into: {line}" for line in self.unseen)]

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


register(Explanation, plain)
