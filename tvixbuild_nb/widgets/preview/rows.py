"""The rows of a preview's tree: the parts that can be seen, long lists page by page, and what a change removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from tvixbuild_nb.oci.explanation import keys_of, parts, pointer
from tvixbuild_nb.widgets.kit import visible
from tvixbuild_nb.widgets.preview.changes import Changes
from tvixbuild_nb.widgets.preview.data import Data, Shown, in_a_line, marks_of, member_name, members

FIRST_OPEN = ("", "/root", "/process", "/mounts", "/linux", "/linux/namespaces")
# Members of one object or list at a time.
PAGE = 200
MOST_ROWS = 3000
MOST_REMOVED = 50


@dataclass(frozen=True)
class Unfolded:
    """What can be seen of a tree.

    ``listed``: the parts (JSON pointers) that are unfolded, or with ``inverted`` those that are not; ``pages``: which
    page of a long part is shown, when not the first.
    """

    listed: frozenset[str] = frozenset()
    inverted: bool = False
    pages: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def at_first(cls, shown: Shown) -> Unfolded:
        """What is unfolded at first: not what is long."""
        sizes = {path: len(value) for path, value in parts(shown.config) if isinstance(value, Mapping | list)}
        return cls(frozenset(path for path in FIRST_OPEN if 0 < sizes.get(path, 0) <= PAGE))

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Unfolded:
        """From what the page kept, see :meth:`to_dict`."""
        return cls(frozenset(kept["listed"]), kept["inverted"], kept["pages"])

    def holds(self, path: str) -> bool:
        return (path in self.listed) != self.inverted

    def page(self, path: str, size: int) -> int:
        """The page of a part with ``size`` members; there is one when it became shorter, too."""
        return max(0, min(self.pages.get(path, 0), (size - 1) // PAGE))

    def revealing(self, shown: Shown, path: str) -> Unfolded:
        """The same, and ``path`` can be seen; what does not exist reveals what is around it."""
        listed, pages = set(self.listed), dict(self.pages)
        value: Any = shown.config
        at = ""
        for key in keys_of(path):
            if self.inverted:
                listed.discard(at)
            else:
                listed.add(at)
            names = [str(name) for name, _ in members(value)] if isinstance(value, Mapping | list) else []
            if key not in names:
                break
            pages[at] = names.index(key) // PAGE
            value, at = members(value)[names.index(key)][1], at + pointer(key)
        return replace(self, listed=frozenset(listed), pages={at: page for at, page in pages.items() if page})

    def to_dict(self) -> Data:
        """As the page keeps it."""
        return {"listed": sorted(self.listed), "inverted": self.inverted, "pages": dict(self.pages)}


def rows(shown: Shown, unfolded: Unfolded, changes: Changes | None = None) -> tuple[list[Data], int]:
    """The rows that can be seen, at most MOST_ROWS, and how many there are besides."""
    every = _Rows(shown, unfolded, changes or Changes()).part(shown.config, "", "config.json", 1)
    return list(islice(every, MOST_ROWS)), sum(1 for _ in every)


@dataclass(frozen=True)
class _Rows:
    shown: Shown
    unfolded: Unfolded
    changes: Changes

    def part(self, value: Any, path: str, name: str, level: int) -> Iterator[Data]:
        nested = isinstance(value, Mapping | list) and bool(value)
        # What lost its last member still has a place for it.
        folds = nested or path in self.changes.removed
        is_open = folds and self.unfolded.holds(path)
        folded = folds and not is_open
        yield {
            "path": path,
            "name": visible(name),
            "level": level,
            "open": is_open if folds else None,
            "text": "" if is_open and nested else in_a_line(value),
            "marks": [visible(mark) for mark in marks_of(self.shown, path, below=folded)],
            "changed": self.changes.show_in(path, below=folded),
        }
        if is_open:
            yield from self._inside(members(value) if nested else [], path, level + 1)

    def _inside(self, inside: Sequence[tuple[str | int, Any]], path: str, level: int) -> Iterator[Data]:
        page = self.unfolded.page(path, len(inside))
        first, last = page * PAGE, (page + 1) * PAGE
        if page:
            yield _turn(path, level, page - 1, f"{first} before these")
        for key, item in inside[first:last]:
            yield from self.part(item, path + pointer(key), member_name(key, item), level)
        if last < len(inside):
            yield _turn(path, level, page + 1, f"{len(inside) - last} after these")
        removed = self.changes.removed.get(path, ())
        for number, member in enumerate(removed[:MOST_REMOVED]):
            yield _aside(path, level, member.name, in_a_line(member.value), removed=number)
        if len(removed) > MOST_REMOVED:
            text = f"{len(removed) - MOST_REMOVED} more were removed"
            yield _aside(path, level, "…", text)


def _turn(path: str, level: int, page: int, text: str) -> Data:
    return _aside(path, level, "…", text, page=page)


def _aside(path: str, level: int, name: str, text: str, **more: int) -> Data:
    """A row that is no part of the configuration; ``path`` is where it stands."""
    row = {"path": path, "name": name, "level": level, "open": None, "text": text, "marks": [], "changed": False}
    return {**row, "aside": True, **more}
