"""Entries by name, or by the needles they hold: a walk in steps, as far as somebody waits for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fnmatch import fnmatchcase

from tvixbuild_nb.castore import DirectoryNode
from tvixbuild_nb.errors import TvixBuildError
from tvixbuild_nb.widgets.tree.places import Place, Places

_LOOK_AT_CLOCK = 2_000


class Search:
    """Entries whose names hold ``text`` (in either case), or match it where it has ``*``, ``?`` or ``[``.

    ``needles``: of these only files and symlinks that hold one. ``looked_at`` counts entries, ``unread`` what could not
    be looked into.
    """

    def __init__(self, places: Places, text: str, *, needles: bool = False) -> None:
        self._places = places
        self._pattern = text.casefold()
        self._glob = any(sign in text for sign in "*?[")
        self._needles = needles
        self.looked_at = self.unread = 0
        self._exhausted = False
        self._found: list[Place] = []
        self._work = self._walk()

    def step(self, seconds: float, hits: int) -> list[Place]:
        """Go on for so long, or until ``hits`` more are found; what was found."""
        deadline = time.monotonic() + seconds
        for _ in self._work:
            if len(self._found) >= hits or time.monotonic() > deadline:
                break
        else:
            self._exhausted = True
        found, self._found = self._found[:hits], self._found[hits:]
        return found

    @property
    def done(self) -> bool:
        """Whether everything was looked at and taken."""
        return self._exhausted and not self._found

    def _matches(self, place: Place, name: bytes) -> bool:
        # What nobody sees is not to be found out by guessing either.
        text = place.root.shown(name).casefold()
        return fnmatchcase(text, self._pattern) if self._glob else self._pattern in text

    def _walk(self) -> Iterator[None]:
        places = self._places
        todo = list(reversed(places.top()))
        for root in todo:
            if not root.is_directory:
                yield from self._take(root)
        while todo:
            place = todo.pop()
            if not place.is_directory:
                continue
            try:
                entries = places.entries(place)
            except (TvixBuildError, OSError):
                self.unread += 1
                yield
                continue
            for index, name in enumerate(entries.names()):
                self.looked_at += 1
                if self._matches(place, name):
                    yield from self._take(places.page(place, index, index + 1)[0])
                elif self.looked_at % _LOOK_AT_CLOCK == 0:
                    yield
            todo.extend(reversed(places.page(place, 0, entries.directories)))
            yield

    def _take(self, place: Place) -> Iterator[None]:
        if not self._needles:
            if place.path:
                self._found.append(place)
            yield
            return
        finder, node = place.root.finder, place.shown
        if finder is None or isinstance(node, DirectoryNode):
            return
        try:
            while (holds := finder.step(place.castore, node, 0)) is None:
                yield
        except (TvixBuildError, OSError):
            self.unread += 1
        else:
            self._found += [place] if holds else []
        yield
