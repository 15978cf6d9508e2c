"""What is known of the entries beyond the tree itself: the needles found, and what a build touched."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable

from tvixbuild_nb.fs import InputAccess
from tvixbuild_nb.widgets.kit import visible

MAX_MISSING = 100


class Touched:
    """A build's accesses below one tree, by path, and how many paths were touched below each directory."""

    def __init__(self, access: InputAccess) -> None:
        self._access = access
        self._opened, self._listed = frozenset(access.opened), frozenset(access.listed)
        self._looked_up = frozenset(access.looked_up)
        self._below: Counter[str] = Counter()
        for path in self._looked_up | self._opened | self._listed | access.read.keys():
            while path:
                path = path.rpartition("/")[0]
                self._below[path] += 1
        self._missing: dict[str, list[str]] = {}
        for path in access.missing:
            parent, _, name = path.rpartition("/")
            self._missing.setdefault(parent, []).append(name)

    def at(self, path: tuple[bytes, ...]) -> str | None:
        """What was done to the entry at ``path``, in a few words; None for nothing."""
        key = os.fsdecode(b"/".join(path))
        words: list[str] = []
        if key in self._access.read:
            words.append(f"read {self._access.read[key]} bytes")
        elif key in self._opened:
            words.append("opened")
        if key in self._listed:
            words.append("listed")
        if not words and key in self._looked_up:
            words.append("looked up")
        if self._below[key]:
            words.append(f"{self._below[key]} used below")
        if key in self._missing:
            words.append(f"{len(self._missing[key])} not found")
        return ", ".join(words) or None

    def missing(self, path: tuple[bytes, ...]) -> list[str]:
        """Names looked for in vain in the directory at ``path``, the first hundred, safe to look at."""
        names: Iterable[str] = self._missing.get(os.fsdecode(b"/".join(path)), ())
        return [visible(name) for name in list(names)[:MAX_MISSING]]
