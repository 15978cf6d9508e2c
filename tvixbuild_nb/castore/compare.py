"""What differs between two trees: equal subtrees are passed over by their digests, nothing is read twice."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from heapq import nsmallest
from itertools import islice
from typing import Any, Literal

from tvixbuild_nb.castore.castore import Castore
from tvixbuild_nb.castore.contents import ContentsDiff, contents_diff
from tvixbuild_nb.castore.listing import list_directory
from tvixbuild_nb.castore.nodes import DirectoryNode, FileNode, Node, SymlinkNode, change_size
from tvixbuild_nb.castore.tree import Tree
from tvixbuild_nb.display import mimebundle
from tvixbuild_nb.errors import InvalidValue, NotFound
from tvixbuild_nb.escaping import visible

ChangeKind = Literal["added", "removed", "changed", "inside"]
MAX_SHOWN = 100
MAX_CONTENTS = 10
# Changes among which the smallest are looked for: a whole tree that is another one has a million.
MAX_RANKED = 10_000
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

    @property
    def size(self) -> tuple[int, int]:
        """(entries, bytes) that it concerns: a directory's with all below it, of a file the larger of its two sizes."""
        return change_size(self.before, self.after)

    def to_dict(self, hide: Callable[[str], str] = str) -> dict[str, Any]:
        """As JSON data; a path's bytes that are no UTF-8 as os.fsdecode has them. ``hide`` takes secrets out."""
        return {
            "path": hide(os.fsdecode(b"/".join(self.path))),
            "kind": self.kind,
            "before": None if self.before is None else hide(_words(self.before)),
            "after": None if self.after is None else hide(_words(self.after)),
        }

    def __str__(self) -> str:
        path = b"/".join(self.path) or b"."
        return f"{_SIGNS[self.kind]} {visible(path)}"


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

    def smallest(self, most: int = MAX_SHOWN) -> list[Change]:
        """The ``most`` smallest of the (first 10 000) changes: by entries, then bytes, then path."""
        return nsmallest(most, islice(self, MAX_RANKED), key=lambda change: (change.size, change.path))

    def contents(self, change: Change, hide: Callable[[str], str] = str) -> ContentsDiff | None:
        """How a file's bytes changed; None for what is not a file before and after, or has the same bytes.

        ``hide`` takes secrets out of a text. :class:`~tvixbuild_nb.errors.NotFound` for contents that a store does
        not hold.
        """
        before, after = change.before, change.after
        if not (isinstance(before, FileNode) and isinstance(after, FileNode)):
            return None
        return contents_diff(self.before.castore, self.after.castore, before, after, hide)

    def report(self, hide: Callable[[str], str] = str, contents: int = MAX_CONTENTS) -> Iterator[str]:
        """The smallest changes as lines fit to be shown, of the first ``contents`` files what is in them too.

        ``hide`` takes secrets out of a text.
        """
        found = self.smallest(MAX_SHOWN + 1)
        for change in found[:MAX_SHOWN]:
            what = became(change)
            # What differs is the whole: whoever asks has named it.
            if change.path or what:
                yield hide(f"{change}{what}")
            if contents > 0 and change.kind == "changed":
                contents -= 1
                yield from (visible(line, keep="\t") for line in self._inside(change, hide))
        if len(found) > MAX_SHOWN:
            yield f"and more, not shown: these are {MAX_SHOWN} of the smallest"

    def _inside(self, change: Change, hide: Callable[[str], str]) -> Iterator[str]:
        try:
            found = self.contents(change, hide)
        except NotFound as error:
            yield f"    {error.message}"
            return
        if found is not None:
            yield f"    {found.headline}"
            yield from (f"    {line}" for line in found.lines)

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


def _words(node: Node) -> str:
    match node:
        case DirectoryNode():
            return f"directory {node.digest}"
        case FileNode():
            return f"{'executable' if node.executable else 'file'} {node.digest}"
        case SymlinkNode():
            return f"symlink to {os.fsdecode(node.target)}"


def became(change: Change) -> str:
    """What a change of one entry is beyond its bytes, in words that begin with a space; empty where it is nothing."""
    match change.before, change.after:
        case FileNode() as before, FileNode() as after:
            if before.executable == after.executable:
                return ""
            return " (executable now)" if after.executable else " (executable no more)"
        case SymlinkNode() as before, SymlinkNode() as after:
            return f" (symlink: {visible(before.target)} -> {visible(after.target)})"
        case (DirectoryNode() | FileNode() | SymlinkNode()) as before, (
            DirectoryNode() | FileNode() | SymlinkNode()
        ) as after:
            return f" ({_KINDS[type(before)]} -> {_KINDS[type(after)]})"
    return ""


_KINDS = {DirectoryNode: "directory", FileNode: "file", SymlinkNode: "symlink"}


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


def _parted(
    old_store: Castore, new_store: Castore, before: DirectoryNode, after: DirectoryNode
) -> list[tuple[bytes, Node | None, Node | None]]:
    """(name, before, after) of the entries that are not in both directories just so, by name."""
    listings = list_directory(old_store, before), list_directory(new_store, after)
    old, new = listings[0].without(listings[1]), listings[1].without(listings[0])
    return [(name, old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys())]


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
        if isinstance(before, DirectoryNode) and isinstance(after, DirectoryNode):
            below = _parted(old_store, new_store, before, after)
            todo.extend(((*path, name), old, new) for name, old, new in reversed(below))
