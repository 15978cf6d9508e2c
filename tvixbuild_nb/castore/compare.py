"""What differs between two trees: equal subtrees are passed over by their digests, nothing is read twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from tvixbuild_nb.castore.castore import Castore
from tvixbuild_nb.castore.nodes import DirectoryNode, Node
from tvixbuild_nb.castore.tree import Tree
from tvixbuild_nb.display import mimebundle
from tvixbuild_nb.errors import InvalidValue, NotFound

ChangeKind = Literal["added", "removed", "changed", "inside"]
MAX_SHOWN = 100
_SIGNS = {"added": "+", "removed": "-", "changed": "~", "inside": " "}


@dataclass(frozen=True, slots=True)
class Change:
    """One entry that differs: its path below the roots (names as bytes), and the node before and after.

    ``before`` None: it was added, with all that is below it; ``after`` None: it was removed.
    """

    path: tuple[bytes, ...]
    before: Node | None
    after: Node | None

    @property
    def kind(self) -> ChangeKind:
        """``inside``: a directory before and after, of other contents."""
        return change_kind(self.before, self.after)

    def __str__(self) -> str:
        path = b"/".join(self.path).decode("utf-8", "backslashreplace") or "."
        return f"{_SIGNS[self.kind]} {path if path.isprintable() else ascii(path)[1:-1]}"


def change_kind(before: Node | None, after: Node | None) -> ChangeKind:
    """What became of an entry whose nodes differ."""
    if before is None:
        return "added"
    if after is None:
        return "removed"
    return "inside" if isinstance(before, DirectoryNode) and isinstance(after, DirectoryNode) else "changed"


@dataclass(frozen=True, slots=True)
class TreeDiff:
    """The changes from one tree to another; made as it is iterated, so that looking at the first few is cheap."""

    before: Tree
    after: Tree

    def __iter__(self) -> Iterator[Change]:
        """Every change but those of directories that changed inside, from the top down, in the order of the names."""
        return (change for change in self.walk() if change.kind != "inside")

    def walk(self) -> Iterator[Change]:
        """Every change, a directory that changed inside before what changed in it."""
        yield from _walk(self.before.castore, self.after.castore, (), self.before.node, self.after.node)

    @property
    def same(self) -> bool:
        """Whether nothing differs; answered by two digests."""
        return self.before.node == self.after.node

    def __str__(self) -> str:
        lines = [str(change) for change in islice(self, MAX_SHOWN + 1)]
        if len(lines) > MAX_SHOWN:
            lines[MAX_SHOWN] = f"and more, not shown: these are the first {MAX_SHOWN}"
        return "\n".join(lines) or "no difference"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


def tree_diff(before: Tree, after: Tree) -> TreeDiff:
    """What changed from ``before`` to ``after``, which may live in different stores.

    Raises :class:`~tvixbuild_nb.errors.InvalidValue` for what is no Tree: a node alone does not say where its entries
    are.
    """
    for path, tree in (("before", before), ("after", after)):
        if not isinstance(tree, Tree):
            raise InvalidValue(
                f"a Tree is compared with a Tree, this is a {type(tree).__name__}",
                path=path,
                hint="castore.tree(node) makes one of a node; run.outputs[...] and run.inputs[...] are Trees",
            )
    return TreeDiff(before, after)


def merged(
    old_store: Castore, new_store: Castore, before: Node | None, after: Node | None
) -> list[tuple[bytes, Node | None, Node | None]]:
    """(name, before, after) of the entries of two directories, by name; what is no directory has none."""
    old, new = _entries(old_store, before), _entries(new_store, after)
    return [(name, old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys())]


def _entries(castore: Castore, node: Node | None) -> Mapping[bytes, Node]:
    if not isinstance(node, DirectoryNode):
        return {}
    directory = castore.directories.get(node.digest)
    if directory is None:
        raise NotFound("the store does not hold this directory", path=str(node.digest))
    return directory.entries


def _walk(
    old_store: Castore, new_store: Castore, path: tuple[bytes, ...], before: Node | None, after: Node | None
) -> Iterator[Change]:
    # Not recursive: a tree may be deeper than the interpreter's stack.
    todo = [(path, before, after)]
    while todo:
        path, before, after = todo.pop()
        if before == after:
            continue
        change = Change(path, before, after)
        yield change
        if change.kind == "inside":
            below = merged(old_store, new_store, before, after)
            todo.extend(((*path, name), old, new) for name, old, new in reversed(below) if old != new)
