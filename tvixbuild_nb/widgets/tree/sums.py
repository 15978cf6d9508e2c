"""What takes a walk: bytes below a directory, names that match. In steps, as far as somebody waits for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fnmatch import fnmatchcase

from tvixbuild_nb.castore import Castore, DirectoryNode, FileNode
from tvixbuild_nb.errors import NotFound
from tvixbuild_nb.widgets.kit import visible
from tvixbuild_nb.widgets.tree.data import Place, Places

MAX_REMEMBERED = 500_000
_LOOK_AT_CLOCK = 2_000


class Totals:
    """Bytes of all files below directories; each directory is summed once, by its digest."""

    def __init__(self) -> None:
        self._known: dict[bytes, int] = {}
        self._sums: dict[bytes, Iterator[None]] = {}

    def known(self, node: DirectoryNode) -> int | None:
        """The bytes below, when they are known already."""
        return 0 if node.size == 0 else self._known.get(node.digest)

    def step(self, castore: Castore, node: DirectoryNode, seconds: float) -> int | None:
        """Go on summing for so long; the bytes below, or None when there is more to do."""
        if self.known(node) is None:
            if len(self._known) > MAX_REMEMBERED:
                self._known.clear()
                self._sums.clear()
            work = self._sums.setdefault(node.digest, self._sum(castore, node))
            deadline = time.monotonic() + seconds
            try:
                for _ in work:
                    if time.monotonic() > deadline:
                        return None
            except BaseException:
                self._sums.pop(node.digest, None)
                raise
            self._sums.pop(node.digest, None)
        return self.known(node)

    def _sum(self, castore: Castore, node: DirectoryNode) -> Iterator[None]:
        known = self._known
        todo = [node]
        while todo:
            node = todo[-1]
            if node.digest in known:
                todo.pop()
                continue
            directory = castore.directories.get(node.digest)
            if directory is None:
                raise NotFound("the store does not hold this directory", path=str(node.digest))
            total, unknown = 0, []
            for entry in directory.entries.values():
                if isinstance(entry, FileNode):
                    total += entry.size
                elif isinstance(entry, DirectoryNode) and entry.size:
                    below = known.get(entry.digest)
                    if below is None:
                        unknown.append(entry)
                    else:
                        total += below
            if unknown:
                todo.extend(unknown)
            else:
                known[node.digest] = total
                todo.pop()
            yield


class Search:
    """Entries whose names hold ``text`` (in either case), or match it where it has ``*``, ``?`` or ``[``."""

    def __init__(self, places: Places, text: str) -> None:
        self._places = places
        self._pattern = text.casefold()
        self._glob = any(sign in text for sign in "*?[")
        self.looked_at = 0
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

    def matches(self, name: str | bytes) -> bool:
        text = visible(name).casefold()
        return fnmatchcase(text, self._pattern) if self._glob else self._pattern in text

    def _walk(self) -> Iterator[None]:
        places = self._places
        todo = list(reversed(places.top()))
        while todo:
            place = todo.pop()
            if not place.is_directory:
                continue
            entries = places.entries(place)
            for index, name in enumerate(entries.names()):
                self.looked_at += 1
                if self.matches(name):
                    self._found.extend(places.page(place, index, index + 1))
                    yield
                elif self.looked_at % _LOOK_AT_CLOCK == 0:
                    yield
            todo.extend(reversed(places.page(place, 0, entries.directories)))
            yield
