"""What a tree's view shows, as plain data: places by their positions, a page of rows at a time.

A place is a list of positions: the root's among the roots shown, its entry's in the directory, and so on. Trees never
change, so positions hold; and no name, whatever bytes it has, must find its way to the page and back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from tvixbuild_nb.castore import Castore, DirectoryNode, FileNode, Node, SymlinkNode, Tree, list_directory
from tvixbuild_nb.castore.compare import change_kind, merged
from tvixbuild_nb.errors import InvalidValue, NotFound
from tvixbuild_nb.fs import InputAccess
from tvixbuild_nb.widgets.kit import visible
from tvixbuild_nb.widgets.tree.marks import Touched

PAGE = 50
MAX_TARGET = 200
# Entries of directories kept at hand; the largest one is kept whatever it holds.
MAX_KEPT = 400_000
DIGEST_SHOWN = 12
_KINDS = {DirectoryNode: "directory", FileNode: "file", SymlinkNode: "symlink"}


@dataclass(frozen=True)
class Root:
    """One tree of a view. ``before``: what it is compared with; ``compared`` even when there was nothing before."""

    name: str
    tree: Tree | None
    needles: tuple[str, ...] = ()
    accesses: InputAccess | None = None
    before: Tree | None = None
    compared: bool = False

    @cached_property
    def touched(self) -> Touched | None:
        return None if self.accesses is None else Touched(self.accesses)


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of a view: where it is, and its nodes now and before (None: not there)."""

    root: Root
    at: tuple[int, ...]
    path: tuple[bytes, ...]
    node: Node | None
    before: Node | None

    @property
    def change(self) -> str | None:
        """added, removed, changed, inside (a directory with changes in it), same; None without a comparison."""
        if not self.root.compared:
            return None
        return "same" if self.node == self.before else change_kind(self.before, self.node)

    @property
    def shown(self) -> Node:
        """The node now, or what it was."""
        node = self.before if self.node is None else self.node
        assert node is not None
        return node

    @property
    def castore(self) -> Castore:
        """The store that holds :attr:`shown`."""
        tree = self.root.tree if self.node is not None else self.root.before
        assert tree is not None
        return tree.castore

    @property
    def name(self) -> bytes | str:
        return self.path[-1] if self.path else self.root.name

    @property
    def is_directory(self) -> bool:
        return isinstance(self.node, DirectoryNode) or isinstance(self.before, DirectoryNode)


class Entries(Protocol):
    """The entries of one directory by position; the first ``directories`` of them are directories."""

    @property
    def directories(self) -> int: ...
    def __len__(self) -> int: ...
    def page(self, start: int, stop: int) -> Sequence[tuple[bytes, Node]]: ...
    def names(self) -> Iterator[bytes]: ...


class Merged:
    """The entries of two directories side by side; ``everything`` or only what differs."""

    def __init__(self, place: Place, everything: bool) -> None:
        now, old = place.root.tree or place.root.before, place.root.before or place.root.tree
        assert now is not None and old is not None
        rows = merged(old.castore, now.castore, place.before, place.node)
        self.rows = [row for row in rows if everything or row[1] != row[2]]
        is_file = [not any(isinstance(node, DirectoryNode) for node in row[1:]) for row in self.rows]
        self.rows = [row for _, row in sorted(zip(is_file, self.rows, strict=True), key=lambda pair: pair[0])]
        self.directories = is_file.count(False)

    def __len__(self) -> int:
        return len(self.rows)

    def names(self) -> Iterator[bytes]:
        return (row[0] for row in self.rows)


class Places:
    """The entries of a few trees, found by position; directories are read when they are looked into.

    :class:`NotFound` for what a store lacks, :class:`InvalidValue` for a place that is none. For one thread at a time.
    """

    def __init__(self, roots: Sequence[Root], *, everything: bool = False) -> None:
        self.roots = roots
        self.everything = everything
        self._kept: OrderedDict[tuple[object, ...], Entries | Merged] = OrderedDict()

    def top(self) -> list[Place]:
        """The roots."""
        return [
            Place(
                root,
                (i,),
                (),
                None if root.tree is None else root.tree.node,
                None if root.before is None else root.before.node,
            )
            for i, root in enumerate(self.roots)
        ]

    def place(self, at: Sequence[int]) -> Place:
        """The entry at these positions."""
        if not at or not 0 <= at[0] < len(self.roots):
            raise InvalidValue(f"no such place: {list(at)}", path="at")
        found = self.top()[at[0]]
        for index in at[1:]:
            below = self.page(found, index, index + 1) if found.is_directory and index >= 0 else []
            if not below:
                raise InvalidValue(f"no such place: {list(at)}", path="at")
            found = below[0]
        return found

    def count(self, place: Place) -> int:
        """Entries directly in this directory."""
        return len(self.entries(place))

    def entries(self, place: Place) -> Entries | Merged:
        """The entries directly in this directory."""
        compared = place.root.compared and place.change != "same"
        key = (place.before, place.node, self.everything) if compared else (place.shown,)
        found = self._kept.get(key)
        if found is None:
            if compared:
                found = Merged(place, self.everything)
            else:
                assert isinstance(place.shown, DirectoryNode)
                found = list_directory(place.castore, place.shown)
            self._kept[key] = found
            while len(self._kept) > 1 and sum(map(len, self._kept.values())) > MAX_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return found

    def page(self, place: Place, start: int, stop: int) -> list[Place]:
        """The entries of a directory from ``start`` until before ``stop``, as far as there are."""
        found = self.entries(place)
        root, at, path = place.root, place.at, place.path
        if isinstance(found, Merged):
            return [
                Place(root, (*at, i), (*path, name), after, before)
                for i, (name, before, after) in enumerate(found.rows[start:stop], start)
            ]
        return [
            # Without a comparison, and below what is the same: before is what is now.
            Place(root, (*at, i), (*path, name), node, node if root.compared else None)
            for i, (name, node) in enumerate(found.page(start, stop), start)
        ]


def row_data(place: Place) -> dict[str, Any]:
    """One row; every text is safe to look at. What does not apply is left out: a page of rows is to be small."""
    node = place.shown
    row: dict[str, Any] = {"name": visible(place.name), "kind": _KINDS[type(node)]}
    if isinstance(node, DirectoryNode):
        row["entries"] = node.entry_count
    elif isinstance(node, FileNode):
        row["size"] = node.size
        if node.executable:
            row["executable"] = True
    else:
        row["target"] = shortened(visible(node.target), MAX_TARGET)
    if not isinstance(node, SymlinkNode):
        row["digest"] = node.digest.hex()[:DIGEST_SHOWN]
    if place.is_directory and not isinstance(node, DirectoryNode):
        row["folder"] = True  # it was one, and still has entries to show
    if place.change not in (None, "same"):
        row["change"] = place.change
    if not place.path and place.root.needles:
        row["needles"] = [shortened(visible(needle), MAX_TARGET) for needle in place.root.needles[:50]]
    touched = place.root.touched
    used = None if touched is None else touched.at(place.path)
    if used is not None:
        row["used"] = used
    return row


def page_data(places: Places, place: Place, start: int) -> dict[str, Any]:
    """A page of a directory's rows from ``start``, and how many there are."""
    return {
        "count": places.count(place),
        "start": start,
        "rows": [row_data(entry) for entry in places.page(place, start, start + PAGE)],
    }


def first_data(places: Places) -> dict[str, Any]:
    """What is painted first: the roots, and the first page of the first one's entries."""
    top = places.top()
    first: dict[str, Any] = {"count": len(top), "start": 0, "rows": [row_data(place) for place in top[:PAGE]]}
    if top and top[0].is_directory:
        try:
            first["open"] = page_data(places, top[0], 0)
        except NotFound as error:
            first["problem"] = visible(str(error))
    return first


def shortened(text: str, length: int) -> str:
    """``text``, or its beginning with an ellipsis."""
    return text if len(text) <= length else text[: length - 1] + "…"
