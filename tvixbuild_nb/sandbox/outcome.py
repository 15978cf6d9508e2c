"""How a run ended, as attributes of its own: what the result says, and what stands in its place while it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tvixbuild_nb.build import BuildResult, FailedAt, Recorded, Usage


class Outcome:
    """What :class:`Run` inherits; it has the result."""

    if TYPE_CHECKING:

        @property
        def result(self) -> BuildResult | None: ...

    @property
    def running(self) -> bool:
        return self.result is None

    @property
    def ok(self) -> bool:
        """Whether it succeeded; False while it runs."""
        return self.result is not None and self.result.ok

    @property
    def status(self) -> Literal["running", "succeeded", "failed", "cancelled", "timed-out"]:
        return "running" if self.result is None else self.result.status

    @property
    def failed_at(self) -> FailedAt | None:
        """Whose fault a failure was: setup, exec, build, output, ingest; None otherwise."""
        return None if self.result is None else self.result.failed_at

    @property
    def exit_code(self) -> int | None:
        return None if self.result is None else self.result.exit_code

    @property
    def signal(self) -> int | None:
        """The signal that ended the command, or None."""
        return None if self.result is None else self.result.signal

    @property
    def message(self) -> str | None:
        """The failure in words, or None."""
        return None if self.result is None else self.result.message

    @property
    def hint(self) -> str | None:
        """What to do about the failure, where something is known."""
        return None if self.result is None else self.result.hint

    @property
    def degraded(self) -> tuple[str, ...]:
        """What the run had to do without."""
        return () if self.result is None else self.result.degraded

    @property
    def timings(self) -> dict[str, float]:
        """Stage -> seconds; empty while the run goes on."""
        return {} if self.result is None else self.result.timings

    @property
    def usage(self) -> Usage | None:
        return None if self.result is None else self.result.usage

    @property
    def recorded(self) -> Recorded | None:
        """When and where it was built, of one that comes from a record; None: it was built here."""
        return None if self.result is None else self.result.recorded

    @property
    def bundle(self) -> Path | None:
        """The kept bundle, or None."""
        path = None if self.result is None else self.result.bundle
        return path if path is not None and path.exists() else None
