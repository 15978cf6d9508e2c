"""What came of executing notebooks, and of comparing them: values that show themselves as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tvixbuild_nb.display import plain, register
from tvixbuild_nb.escaping import visible

_WIDE = 80


@dataclass(frozen=True, slots=True)
class CellPlace:
    """A code cell: its ``number`` among them from 1, which is also its execution count, its id, its first line."""

    number: int
    id: str
    line: str

    @classmethod
    def of(cls, cell: Any, number: int) -> Self:
        line = cell["source"].strip().split("\n", 1)[0]
        return cls(number, cell.get("id", ""), line if len(line) <= _WIDE else line[: _WIDE - 1] + "…")

    def __str__(self) -> str:
        return visible(f"cell {self.number}{f' ({self.id})' if self.id else ''}: {self.line}")


@dataclass(frozen=True, slots=True)
class NotebookFailure:
    """Why a notebook could not be executed to its end: ``what`` in a line, the end of its ``text``, and the cell."""

    what: str
    text: str = ""
    cell: CellPlace | None = None

    def __str__(self) -> str:
        lines = [f"failed in {self.cell}" if self.cell else "failed", f"  {self.what}"]
        return "\n".join([*lines, *(f"  | {line}" for line in self.text.split("\n") if self.text)])


@dataclass(frozen=True, slots=True)
class Drift:
    """A cell that shows another thing than is stored: ``what`` is different in words, ``diff`` its lines."""

    cell: CellPlace
    what: str
    diff: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join([f"{self.cell}", f"  {self.what}", *(f"  {line}" for line in self.diff)])


@dataclass(frozen=True, slots=True)
class Ran:
    """One notebook that was executed; ``written``: where it was written anew, None where nothing had to be."""

    path: Path
    seconds: float
    failure: NotebookFailure | None = None
    written: Path | None = None

    @property
    def ok(self) -> bool:
        return self.failure is None

    def __str__(self) -> str:
        if self.failure is not None:
            where = "not written" if self.written is None else f"as far as it went: {self.written}"
            return f"{self.path}: {self.failure}\n  {where}"
        done = "unchanged" if self.written is None else f"written to {self.written}"
        return f"{self.path}: {done} ({self.seconds:.1f} s)"


@dataclass(frozen=True, slots=True)
class Checked:
    """One notebook that was executed and compared."""

    path: Path
    seconds: float
    failure: NotebookFailure | None = None
    drifts: tuple[Drift, ...] = ()

    @property
    def ok(self) -> bool:
        return self.failure is None and not self.drifts

    def __str__(self) -> str:
        if self.failure is not None:
            return f"{self.path}: {self.failure}"
        if not self.drifts:
            return f"{self.path}: as stored ({self.seconds:.1f} s)"
        count = len(self.drifts)
        head = f"{self.path}: {count} {'cell is' if count == 1 else 'cells are'} not as stored"
        return "\n".join([head, *(f"  {line}" for drift in self.drifts for line in str(drift).split("\n"))])


@dataclass(frozen=True, slots=True)
class RunReport:
    """What :func:`run_notebooks` did, notebook by notebook; true when all of them could be executed."""

    notebooks: tuple[Ran, ...]

    @property
    def failed(self) -> tuple[Ran, ...]:
        return tuple(each for each in self.notebooks if not each.ok)

    def __bool__(self) -> bool:
        return not self.failed

    def __iter__(self) -> Iterator[Ran]:
        return iter(self.notebooks)

    def __str__(self) -> str:
        total = len(self.notebooks)
        said = f"{total - len(self.failed)} of {total} executed"
        return "\n".join([*map(str, self.notebooks), said])

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return plain(self)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What :func:`check_notebooks` found, notebook by notebook; true when every one shows what is stored."""

    notebooks: tuple[Checked, ...]

    @property
    def failed(self) -> tuple[Checked, ...]:
        """Those that could not be executed."""
        return tuple(each for each in self.notebooks if each.failure is not None)

    @property
    def drifted(self) -> tuple[Checked, ...]:
        """Those with a cell that shows another thing than is stored."""
        return tuple(each for each in self.notebooks if each.drifts)

    def __bool__(self) -> bool:
        return all(each.ok for each in self.notebooks)

    def __iter__(self) -> Iterator[Checked]:
        return iter(self.notebooks)

    def __str__(self) -> str:
        total, good = len(self.notebooks), sum(each.ok for each in self.notebooks)
        said = [f"{good} of {total} as stored"]
        if self.drifted:
            said.append("where a change is wanted: `tvixbuild-nb notebooks run` stores what is shown now")
        return "\n".join([*map(str, self.notebooks), *said])

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return plain(self)


register(RunReport, plain)
register(CheckReport, plain)
