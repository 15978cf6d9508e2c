"""Which rows in sight hold which needles: looked at in steps, so much and no more without being asked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from tvixbuild_nb.errors import TvixBuildError
from tvixbuild_nb.widgets.tree.places import Place
from tvixbuild_nb.widgets.tree.rows import needle_names

# Bytes read for the marks of a view that nobody asked for.
MAX_READ = 256 * 1024 * 1024


class Marks:
    """The needles of rows, one view's: bounded by :data:`MAX_READ`, then only what is known already."""

    def __init__(self) -> None:
        self._read = 0
        self._failed: dict[object, str] = {}

    def step(self, places: Sequence[Place], seconds: float) -> dict[str, Any]:
        """Go on for so long. ``found``: names for each place, or null; ``failed``: why, for those not readable."""
        deadline = time.monotonic() + seconds
        found: list[list[str] | None] = []
        failed: dict[int, str] = {}
        for index, place in enumerate(places):
            rest = deadline - time.monotonic()
            if rest > 0 and self._read < MAX_READ:
                self._look(place, rest)
            if place.shown in self._failed:
                failed[index] = place.root.shown(self._failed[place.shown])
            found.append(needle_names(place) if place.root.finder else [])
        return {"found": found, "failed": failed, "enough": self._read >= MAX_READ}

    def _look(self, place: Place, seconds: float) -> None:
        finder = place.root.finder
        if finder is None or place.shown in self._failed or needle_names(place) is not None:
            return
        before = finder.looked_at
        try:
            finder.step(place.castore, place.shown, seconds)
        except (TvixBuildError, OSError) as error:
            self._failed[place.shown] = str(error)
        self._read += finder.looked_at - before
