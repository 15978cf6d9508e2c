"""Nodes of the castore data model: file, directory, symlink, without their names.

A name belongs to whatever holds the node (a :class:`Directory`, a request's inputs), as in
tvix-castore. Facts: a name has 1 to 255 bytes, no slash, no NUL, and is not ``.`` or ``..``; a
symlink target has 1 to 4095 bytes and no NUL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TypeAlias

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.display import Bundle, mimebundle
from tvixbuild_nb.errors import InvalidNode

MAX_NAME = 255
MAX_TARGET = 4095
MAX_SIZE = 2**64 - 1
_NO_NAMES = (b"", b".", b"..")


def check_name(name: bytes) -> bytes:
    """Return ``name`` when it can be a path component; :class:`InvalidNode` says why not."""
    if not name:
        raise InvalidNode("a name must not be empty", path="name")
    if len(name) > MAX_NAME:
        raise InvalidNode(f"a name has at most {MAX_NAME} bytes, this one {len(name)}", path="name")
    if name in (b".", b".."):
        raise InvalidNode(f"{name.decode()!r} is not a name", path="name")
    if b"/" in name or b"\0" in name:
        shown = name.decode("utf-8", "backslashreplace")
        raise InvalidNode(f"a name holds neither '/' nor NUL: {shown!r}", path="name")
    return name


def _check_names(names: Mapping[bytes, object]) -> None:
    """:func:`check_name` for many at once, several times as fast as one by one."""
    joined = b"".join(names)
    longest = max(map(len, names), default=0)
    if longest > MAX_NAME or b"/" in joined or b"\0" in joined or not names.keys().isdisjoint(_NO_NAMES):
        for name in names:
            check_name(name)


def _check_size(size: int) -> None:
    if not 0 <= size <= MAX_SIZE:
        raise InvalidNode(f"a size is between 0 and 2^64-1, not {size}", path="size")


class _Shown:
    """What shows itself in a notebook."""

    __slots__ = ()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Bundle:
        return mimebundle(self)


@dataclass(frozen=True, slots=True)
class FileNode(_Shown):
    """A regular file: digest of its contents, size in bytes, and the owner's x bit (0100)."""

    digest: Digest
    size: int
    executable: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_SIZE:  # asked here, without a call: there is one of these for every file
            _check_size(self.size)


@dataclass(frozen=True, slots=True)
class DirectoryNode(_Shown):
    """A directory: digest of its canonical encoding, and castore's size of it.

    ``size`` is the number that Tvix and Snix compute and put on the wire, exactly twice the
    entries below at any depth; ``entry_count`` is what people mean by the size of a tree.
    """

    digest: Digest
    size: int

    def __post_init__(self) -> None:
        _check_size(self.size)

    @property
    def entry_count(self) -> int:
        """Entries below this directory, at any depth."""
        return self.size // 2


@dataclass(frozen=True, slots=True)
class SymlinkNode(_Shown):
    """A symbolic link; ``target`` is bytes and is never followed by castore."""

    target: bytes

    def __post_init__(self) -> None:
        if not self.target:
            raise InvalidNode("a symlink target must not be empty", path="target")
        if len(self.target) > MAX_TARGET:
            raise InvalidNode(
                f"a symlink target has at most {MAX_TARGET} bytes, this one {len(self.target)}", path="target"
            )
        if b"\0" in self.target:
            raise InvalidNode("a symlink target holds no NUL", path="target")


Node: TypeAlias = FileNode | DirectoryNode | SymlinkNode


@dataclass(frozen=True, slots=True, init=False)
class Directory:
    """The entries of one directory, each name once, in the order of the name's bytes.

    Built from a mapping or from pairs of (name, node); a duplicate name or one that is no path
    component raises :class:`InvalidNode`. Its canonical encoding and digest are made by
    :mod:`tvixbuild_nb.castore.encoding`.
    """

    entries: Mapping[bytes, Node] = field(repr=False)

    def __init__(self, entries: Mapping[bytes, Node] | Iterable[tuple[bytes, Node]] = ()) -> None:
        pairs = sorted(entries.items() if isinstance(entries, Mapping) else entries, key=itemgetter(0))
        table = dict(pairs)
        _check_names(table)
        if len(table) != len(pairs):
            index = next(i for i in range(1, len(pairs)) if pairs[i - 1][0] == pairs[i][0])
            raise InvalidNode(f"the name {pairs[index][0]!r} occurs twice", path="entries", index=index)
        if _size_of(table) > MAX_SIZE:
            raise InvalidNode("the directory's size passes 2^64-1", path="size")
        object.__setattr__(self, "entries", table)

    @property
    def size(self) -> int:
        """Castore's size: two for each entry here, plus the sizes of the directories among them."""
        return _size_of(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[tuple[bytes, Node]]:
        return iter(self.entries.items())

    def __hash__(self) -> int:
        return hash(tuple(self.entries.items()))


def _size_of(entries: Mapping[bytes, Node]) -> int:
    # Not what the .proto's comment says (one each): this is what the running Tvix and Snix
    # compute and check, and it is part of every digest.
    return 2 * len(entries) + sum([node.size for node in entries.values() if isinstance(node, DirectoryNode)])


def change_size(before: Node | None, after: Node | None) -> tuple[int, int]:
    """(entries, bytes) that a change concerns, by which changes are ordered; not both nodes are None.

    A directory counts with all below it; of a file and of a symlink's target the longer one's bytes.
    """
    sizes = [_size(node) for node in (before, after) if node is not None]
    return max(entries for entries, _ in sizes), max(data for _, data in sizes)


def _size(node: Node) -> tuple[int, int]:
    match node:
        case DirectoryNode():
            return 1 + node.entry_count, 0
        case FileNode():
            return 1, node.size
        case SymlinkNode():
            return 1, len(node.target)
