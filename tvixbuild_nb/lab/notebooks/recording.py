"""Runs of an executed notebook, kept as record files: where builds cannot run they are replayed from these."""

from __future__ import annotations

from pathlib import Path

from tvixbuild_nb.build.records import SUFFIX
from tvixbuild_nb.errors import TvixBuildError
from tvixbuild_nb.sandbox.saving import save_all


def record_runs(state: Path, into: Path) -> None:
    """Keep every run below ``state`` in ``into``, with the contents of outputs, in place of the records there were.

    Raises what keeps one of them from being saved.
    """
    for old in into.glob(f"*{SUFFIX}"):
        old.unlink()
    for saved in save_all(into, state / "runs"):
        if isinstance(saved, TvixBuildError):
            raise saved
