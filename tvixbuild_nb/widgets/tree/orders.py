"""The orders people look at a directory in: a permutation of its entries, made when somebody asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from tvixbuild_nb.castore import DirectoryNode, FileNode, Node
from tvixbuild_nb.castore.below import Totals
from tvixbuild_nb.errors import InvalidValue
from tvixbuild_nb.widgets.kit import visible

Row = TypeVar("Row")

# As castore has them: directories, files, symlinks, each by the bytes of their names.
STORED = ""
ORDERS = ("name", "size", "entries")


class Entries(Protocol):
    """The entries of one directory by position; the first ``directories`` of them are directories."""

    @property
    def directories(self) -> int: ...
    def __len__(self) -> int: ...
    def nodes(self) -> Iterator[Node]:
        """What each position holds now, or held before."""
        ...

    def names(self) -> Iterator[bytes]: ...


def arranged(entries: Entries, order: str, totals: Totals) -> list[int]:
    """The positions of ``entries`` in ``order``: one of :data:`ORDERS`, from the end with a minus before it.

    By name: directories first, letters of either case together. By size: directories by the bytes below them, as far as
    ``totals`` knows; the others of them come last. :class:`InvalidValue` for no such order.
    """
    wanted = order.removeprefix("-")
    if wanted not in ORDERS:
        raise InvalidValue(f"no such order: {order!r}", path="order", hint=f"there are {', '.join(ORDERS)}")
    positions = range(len(entries))
    if wanted == "name":
        names = [visible(name).casefold() for name in entries.names()]
        first, rest = positions[: entries.directories], positions[entries.directories :]
        return [*_sorted(first, names, order != wanted), *_sorted(rest, names, order != wanted)]
    of: Callable[[Node], int] = _entries_of if wanted == "entries" else lambda node: _size_of(node, totals)
    return _sorted(positions, list(map(of, entries.nodes())), order != wanted)


def unsummed(entries: Entries, totals: Totals) -> Iterator[DirectoryNode]:
    """The directories among ``entries`` whose bytes are not known yet."""
    for node, _ in zip(entries.nodes(), range(entries.directories), strict=False):
        if isinstance(node, DirectoryNode) and totals.known(node) is None:
            yield node


def _sorted(positions: Sequence[int], keys: Sequence[str] | Sequence[int], backwards: bool) -> list[int]:
    return sorted(positions, key=keys.__getitem__, reverse=backwards)


def _entries_of(node: Node) -> int:
    return node.entry_count if isinstance(node, DirectoryNode) else -1


def _size_of(node: Node, totals: Totals) -> int:
    if isinstance(node, FileNode):
        return node.size
    known = totals.known(node) if isinstance(node, DirectoryNode) else None
    return -1 if known is None else known
