"""DoctorReport and its checks: values, with their forms for terminals, notebooks and machines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tvixbuild_nb.build.doctor.host import Host
from tvixbuild_nb.display import mimebundle

if TYPE_CHECKING:
    from rich.console import RenderableType

Status = Literal["ok", "warn", "fail"]
_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried.

    name     what it is about, such as ``user namespaces``
    status   ok; warn: builds do without it; fail: builds need it
    did      what was done to find out
    reason   what was found, in words
    remedy   the command or setting that mends it, None when there is nothing to mend
    need     what a container would have to be started with: a key into the host's flags, or None
    """

    name: str
    status: Status
    did: str
    reason: str
    remedy: str | None = None
    need: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class DoctorReport:
    """What works on this host and what does not; ``ok`` says whether builds can run here.

    ``again`` examines the host anew in the same way; None where nobody knows how. It is no part of what was found.
    """

    host: Host
    checks: tuple[Check, ...]
    ok: bool
    seconds: float
    again: Callable[[], DoctorReport] | None = field(default=None, compare=False)

    def __getitem__(self, name: str) -> Check:
        """The check called ``name``; KeyError lists the names."""
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(f"{name!r} is not one of {', '.join(check.name for check in self.checks)}")

    @property
    def problems(self) -> tuple[Check, ...]:
        """What is not ok, the failures first."""
        return tuple(sorted((c for c in self.checks if c.status != "ok"), key=lambda check: check.status != "fail"))

    @property
    def start_with(self) -> str | None:
        """In a container: the command line or settings that would give it what is missing; else None."""
        if self.ok:
            return None
        return self.host.start_with([check.need for check in self.problems if check.need is not None])

    def verdict(self) -> str:
        """One sentence."""
        if self.ok:
            without = [check.name for check in self.problems]
            return "builds can run here" + (f" (not at their best: {', '.join(without)})" if without else "")
        return "builds cannot run here; rendering, stores, records and remote builds can"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        host = {"kind": self.host.kind, "name": self.host.name, "evidence": list(self.host.evidence)}
        return {
            "ok": self.ok,
            "verdict": self.verdict(),
            "host": host,
            "start_with": self.start_with,
            "checks": [asdict(check) for check in self.checks],
            "seconds": round(self.seconds, 3),
        }

    def __str__(self) -> str:
        width = max(len(check.name) for check in self.checks)
        lines = [f"host: {self.host}"]
        for check in self.checks:
            lines.append(f"{check.status:<5} {check.name:<{width}}  {check.reason}")
            if check.remedy and check.status != "ok":
                lines.append(f"{'':<{width + 8}}-> {check.remedy}")
        if self.start_with:
            lines.append(f"start this container with: {self.start_with}")
        lines.append(self.verdict())
        return "\n".join(lines)

    # At a prompt, ``doctor()`` alone should be readable.
    __repr__ = __str__

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column()
        for check in self.checks:
            words = Text(check.reason)
            if check.remedy and check.status != "ok":
                words.append(f"\n{check.remedy}", style="bold")
            table.add_row(Text(check.status, style=_STYLES[check.status]), check.name, words)
        parts: list[RenderableType] = [Text(f"host: {self.host}"), table]
        if self.start_with:
            parts.append(Text.assemble("start this container with: ", (self.start_with, "bold")))
        parts.append(Text(self.verdict(), style="green" if self.ok else "bold red"))
        return Group(*parts)

    def _repr_mimebundle_(
        self, include: Sequence[str] | None = None, exclude: Sequence[str] | None = None
    ) -> Mapping[str, Any]:
        return mimebundle(self)
