"""The entries of the trees of a view, found by position.

A place is a list of positions: the root's among the roots shown, its entry's in the directory, and so on. Trees never
change, so positions hold, whatever order people look at them in; and no name, whatever bytes it has, must find its way
to the page and back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tvixbuild_nb.castore import Castore, DirectoryNode, Listing, Node, list_directory
from tvixbuild_nb.castore.below import Totals
from tvixbuild_nb.castore.compare import change_kind, merged
from tvixbuild_nb.errors import InvalidValue
from tvixbuild_nb.widgets.tree.orders import STORED, arranged
from tvixbuild_nb.widgets.tree.roots import Root

# Entries of directories kept at hand; the largest one is kept whatever it holds.
MAX_KEPT = 400_000


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

    def nodes(self) -> Iterator[Node]:
        return (node for _, before, now in self.rows for node in [now or before] if node is not None)

    def names(self) -> Iterator[bytes]:
        return (row[0] for row in self.rows)


@dataclass(slots=True)
class _Kept:
    """The entries of a directory, and the orders they were looked at in."""

    entries: Listing | Merged
    orders: dict[str, list[int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.entries) * (1 + len(self.orders))


class Places:
    """The entries of a few trees, found by position; directories are read when they are looked into.

    :class:`NotFound` for what a store lacks, :class:`InvalidValue` for a place that is none. For one thread at a time.
    """

    def __init__(self, roots: Sequence[Root], *, everything: bool = False, totals: Totals | None = None) -> None:
        self.roots = roots
        self.everything = everything
        self.totals = Totals() if totals is None else totals
        self._kept: OrderedDict[tuple[object, ...], _Kept] = OrderedDict()

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

    def entries(self, place: Place) -> Listing | Merged:
        """The entries directly in this directory."""
        return self._open(place).entries

    def order(self, place: Place, order: str) -> Sequence[int]:
        """The positions of this directory's entries in that order, see :func:`arranged`; it is kept."""
        kept = self._open(place)
        if order == STORED:
            return range(len(kept.entries))
        if order not in kept.orders:
            kept.orders = {order: arranged(kept.entries, order, self.totals)}
        return kept.orders[order]

    def forget_orders(self) -> None:
        """What was not known when a directory was put in order may be known now."""
        for kept in self._kept.values():
            kept.orders = {}

    @property
    def comparison(self) -> str:
        """That nothing differs, or what marks the differences; empty where nothing is compared."""
        compared = [place for place in self.top() if place.root.compared]
        if not compared:
            return ""
        if all(place.change == "same" for place in compared):
            return "no difference: both are the same"
        return "what differs: + added, − removed, ~ changed"

    def page(self, place: Place, start: int, stop: int, order: str = STORED) -> list[Place]:
        """The entries of a directory from ``start`` until before ``stop`` in ``order``, as far as there are."""
        if order == STORED:
            return self._from(place, start, stop)
        return [below for at in self.order(place, order)[start:stop] for below in self._from(place, at, at + 1)]

    def _from(self, place: Place, start: int, stop: int) -> list[Place]:
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

    def _open(self, place: Place) -> _Kept:
        compared = place.root.compared and place.change != "same"
        key = (place.before, place.node, self.everything) if compared else (place.shown,)
        found = self._kept.get(key)
        if found is None:
            if compared:
                found = _Kept(Merged(place, self.everything))
            else:
                assert isinstance(place.shown, DirectoryNode)
                found = _Kept(list_directory(place.castore, place.shown))
            self._kept[key] = found
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and sum(map(len, self._kept.values())) > MAX_KEPT:
            self._kept.popitem(last=False)
        return found
