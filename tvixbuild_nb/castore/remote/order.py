"""Directories in the two orders of the wire: leaves first to be stored, root first as they are answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.encoding import decode_directory
from tvixbuild_nb.castore.nodes import Directory, DirectoryNode
from tvixbuild_nb.errors import DigestMismatch, InvalidNode, NotFound

GetDirectory = Callable[[Digest], Directory | None]


def children_of(directory: Directory) -> Iterator[DirectoryNode]:
    """The directories directly below."""
    return (node for _, node in directory if isinstance(node, DirectoryNode))


def children_first(root: Digest, get: GetDirectory) -> Iterator[Directory]:
    """The closure of ``root``, each directory once and after all it holds.

    Only the way from the root to where it stands is held in memory, and the digests. :class:`NotFound` for a hole,
    :class:`InvalidNode` for a directory of another size than one that holds it says.
    """
    done: dict[Digest, int] = {}
    way = [_step(root, get)]
    while way:
        digest, directory, rest = way[-1]
        child = next((node for node in rest if node.digest not in done), None)
        if child is None:
            way.pop()
            done[digest] = directory.size
            for node in children_of(directory):
                _check_size(node, done[node.digest])
            yield directory
        else:
            way.append(_step(child.digest, get))


def _step(digest: Digest, get: GetDirectory) -> tuple[Digest, Directory, Iterator[DirectoryNode]]:
    directory = get(digest)
    if directory is None:
        raise NotFound("neither side holds this directory", path=str(digest))
    return digest, directory, children_of(directory)


def _check_size(node: DirectoryNode, size: int) -> None:
    if node.size != size:
        raise InvalidNode(
            f"wrong size {node.size} for directory {node.digest}: it is {size}",
            path="directories",
            hint="the size is twice the number of entries below, at any depth",
        )


class RootFirst:
    """Checks a recursive answer as it comes: the root first, then only what was named before, all of it.

    ``check`` takes a message and gives the directory, None for one that came before; ``end``: there is no more.
    """

    def __init__(self, root: Digest) -> None:
        self._root = root
        self._wanted: dict[Digest, int | None] = {root: None}
        self._seen: set[Digest] = set()

    def check(self, data: bytes) -> Directory | None:
        """:class:`DigestMismatch` for what nobody asked for, :class:`InvalidNode` for what is no directory."""
        digest = Digest.of(data)
        if digest in self._seen:
            return None
        if digest not in self._wanted:
            raise DigestMismatch(f"a directory came that nothing names, {digest}", path=str(self._root))
        directory = decode_directory(data)
        size = self._wanted.pop(digest)
        if size is not None:
            _check_size(DirectoryNode(digest, size), directory.size)
        self._seen.add(digest)
        for node in children_of(directory):
            if node.digest not in self._seen:
                self._wanted.setdefault(node.digest, node.size)
        return directory

    def end(self) -> None:
        """:class:`NotFound` when something below the root did not come; nothing at all: the root is not there."""
        if self._seen and self._wanted:
            absent = next(iter(self._wanted))
            raise NotFound("the store does not hold this directory, which another one names", path=str(absent))


class LeavesFirst:
    """Checks an upload as it comes: each directory after all it holds, and in the end one root.

    ``check`` takes a message; ``end`` gives the root. :class:`InvalidNode` says what is wrong, and at which position.
    """

    def __init__(self) -> None:
        self._sizes: dict[Digest, int] = {}
        self._unnamed: dict[Digest, int] = {}
        self._last: Digest | None = None
        self._count = 0

    def check(self, data: bytes) -> Directory:
        """The directory in ``data``."""
        index, self._count = self._count, self._count + 1
        try:
            directory = decode_directory(data)
        except InvalidNode as error:
            raise InvalidNode(f"directory {index}: {error.message}", path=error.path, index=error.index) from None
        for name, node in directory:
            if not isinstance(node, DirectoryNode):
                continue
            size = self._sizes.get(node.digest)
            if size is None:
                raise InvalidNode(
                    f"the directory {name!r} in it, {node.digest}, was not sent before it", path="directories",
                    index=index, hint="a whole closure belongs into one stream, leaves first",
                )  # fmt: skip
            _check_size(node, size)
            self._unnamed.pop(node.digest, None)
        digest = Digest.of(data)
        if digest not in self._sizes:
            self._sizes[digest] = directory.size
            self._unnamed[digest] = index
        self._last = digest
        return directory

    def end(self) -> DirectoryNode:
        """The root: the last one, which leads to all others."""
        if self._last is None:
            raise InvalidNode("no directory was sent", path="directories")
        for digest, index in self._unnamed.items():
            if digest != self._last:
                raise InvalidNode(
                    f"nothing leads to {digest}", path="directories", index=index, hint="a stream holds one closure"
                )
        if self._last not in self._unnamed:
            raise InvalidNode("the last one is not the root", path="directories", index=self._count - 1)
        return DirectoryNode(self._last, self._sizes[self._last])


def roots_of(directories: Iterable[Directory], digest_of: Callable[[Directory], Digest]) -> list[Digest]:
    """The digests of those that none of the others holds, in their order."""
    named: set[Digest] = set()
    digests: list[Digest] = []
    for directory in directories:
        digests.append(digest_of(directory))
        named.update(node.digest for node in children_of(directory))
    return [digest for digest in dict.fromkeys(digests) if digest not in named]
