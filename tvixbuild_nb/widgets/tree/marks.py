"""What is known of entries beyond the tree itself: what a build touched of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable

from tvixbuild_nb.fs import InputAccess

MAX_MISSING = 100


class Touched:
    """A build's accesses below one tree, by path, and how many paths were touched below each directory.

    The tree lies ``above`` deep in what the accesses are relative to; ``shown`` makes names safe to look at.
    """

    def __init__(self, access: InputAccess, above: tuple[bytes, ...], shown: Callable[[str], str]) -> None:
        self._access = access
        self._above = above
        self._shown = shown
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
        key = self._key(path)
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
        """Names looked for in vain in the directory at ``path``, the first hundred, and how many more there are."""
        names = self._missing.get(self._key(path), [])
        shown = [self._shown(name) for name in names[:MAX_MISSING]]
        return shown + [f"and {len(names) - MAX_MISSING} more"] * (len(names) > MAX_MISSING)

    def _key(self, path: tuple[bytes, ...]) -> str:
        return os.fsdecode(b"/".join(self._above + path))
