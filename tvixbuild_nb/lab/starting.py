"""setup(): a notebook's first cell finds out whether builds run here; where they do not, runs are replayed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tvixbuild_nb.build import doctor
from tvixbuild_nb.errors import TvixBuildError
from tvixbuild_nb.sandbox import Sandbox
from tvixbuild_nb.sandbox.services import BUILDER_VARIABLE

RECORDS_VARIABLE = "TVIXBUILD_NB_RECORDS"
RECORDS = "records"
# Seconds for each trial of the doctor's, who is only asked where builds do not run.
_PATIENCE = 5.0

Where = Literal["here", "elsewhere", "replay", "nowhere"]


@dataclass(frozen=True, slots=True)
class Setup:
    """Where this notebook's builds run, in one ``line``; ``reason``: why not here. True when they run anywhere."""

    where: Where
    line: str
    reason: str | None = None

    def __bool__(self) -> bool:
        return self.where != "nowhere"

    def __str__(self) -> str:
        return self.line

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        from tvixbuild_nb.widgets.kit import Forms, tag, volatile  # loaded when it has to be shown

        return Forms(text=lambda: self.line, html=lambda: tag("div", volatile("builder", self.line))).bundle()


def setup(records: str | os.PathLike[str] | None = None) -> Setup:
    """Find out whether builds run here by running a tiny one, and say so in a line.

    Where they do not, and recorded runs are at hand, builds of this process are replayed from there: in ``records``,
    else in ``TVIXBUILD_NB_RECORDS``, else in ``records/`` of the working directory, which is the notebook's. A service
    that ``TVIXBUILD_NB_BUILDER`` names is left as it is.
    """
    named = os.environ.get(BUILDER_VARIABLE)
    if named:
        return Setup("elsewhere", f"builds go to {named}, as {BUILDER_VARIABLE} says")
    runtime, trouble = _trial()
    if trouble is None:
        return Setup("here", f"builds run here, by {runtime}")
    reason = _reason() or trouble
    at = _records(records)
    if at is None:
        return Setup(
            "nowhere", f"builds cannot run here ({reason}), and no recorded runs are at hand; doctor() explains", reason
        )
    os.environ[BUILDER_VARIABLE] = f"replay:{at}"
    return Setup(
        "replay", f"builds cannot run here ({reason}): recorded runs are replayed from {at}; doctor() explains", reason
    )


def _trial() -> tuple[str | None, str | None]:
    """The runtime that ran a build, or what went wrong; the process that held the build serves the next ones, too."""
    try:
        run = Sandbox("true", store="memory:").run(timeout=10, keep="never", show=False)
    except (TvixBuildError, OSError) as error:
        return None, getattr(error, "message", None) or str(error)
    result = run.result
    assert result is not None
    run.delete()
    return result.runtime, None if result.ok else result.verdict()


def _reason() -> str | None:
    report = doctor(limit=_PATIENCE)
    failed = next((check for check in report.problems if check.status == "fail"), None)
    return None if failed is None else f"{failed.name}: {failed.reason}"


def _records(given: str | os.PathLike[str] | None) -> Path | None:
    """The directory of recorded runs; one that somebody names counts, whether it is there or not."""
    named = given if given is not None else os.environ.get(RECORDS_VARIABLE)
    if named:
        return Path(named).absolute()
    beside = Path(RECORDS).absolute()
    return beside if beside.is_dir() else None
