"""The inode logic of a read-only view over castore nodes: numbers at its border, no binding below.

A view shows a request's inputs as the entries of its root. Every place in the tree has an inode
number of its own (never shared between two paths), so that whoever records accesses by number can
name the path. Numbers are handed out when a directory is first looked into and stay.
"""

from __future__ import annotations

import base64
import errno
import stat
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.nodes import Directory, DirectoryNode, FileNode, Node, SymlinkNode, check_name
from tvixbuild_nb.castore.services import BlobReader
from tvixbuild_nb.errors import NotFound

ROOT = 1
MTIME = 1

DIRECTORY_MODE = stat.S_IFDIR | 0o555
FILE_MODE = stat.S_IFREG | 0o444
EXECUTABLE_MODE = stat.S_IFREG | 0o555
SYMLINK_MODE = stat.S_IFLNK | 0o777

XATTR_DIRECTORY_DIGEST = b"user.tvix.castore.directory.digest"
XATTR_BLOB_DIGEST = b"user.tvix.castore.blob.digest"


class ReadableBlobs(Protocol):
    """What a view needs of a blob service: ``None`` is a blob the store does not hold."""

    def reader(self, digest: Digest, /) -> BlobReader | None: ...


class ReadableDirectories(Protocol):
    """What a view needs of a directory service: ``None`` is a directory the store does not hold."""

    def get(self, digest: Digest, /) -> Directory | None: ...


class ReadableCastore(Protocol):
    """The part of a castore that a view reads."""

    @property
    def blobs(self) -> ReadableBlobs: ...
    @property
    def directories(self) -> ReadableDirectories: ...


class Attributes(NamedTuple):
    """What stat(2) shows of an inode; owner and group are 0, all times :data:`MTIME` seconds."""

    ino: int
    mode: int
    size: int


class DirEntry(NamedTuple):
    """One row of a directory listing."""

    name: bytes
    ino: int
    mode: int


class View:
    """Castore nodes as a read-only tree of inodes; ``entries`` are the names in its root.

    Directories are fetched from ``castore`` when first looked into. Absence is ``None``; what the
    store should hold and does not raises :class:`NotFound` with the digest as its path; asking a
    file for entries raises ``NotADirectoryError``, a directory for bytes ``IsADirectoryError``.
    An inode number that was never handed out raises ``IndexError``. ``backwards``: listings begin with the last name.
    """

    def __init__(self, entries: Mapping[bytes, Node], castore: ReadableCastore, *, backwards: bool = False) -> None:
        self._castore = castore
        self._backwards = backwards
        # Parallel lists, index = inode number; a number has its place for ever.
        self._nodes: list[Node | None] = [None, None]
        self._names: list[bytes] = [b"", b""]
        self._parents: list[int] = [0, ROOT]
        self._children: dict[int, dict[bytes, int]] = {}
        self._admit(ROOT, {check_name(name): entries[name] for name in sorted(entries)})

    def __len__(self) -> int:
        """Inodes known so far, the root included."""
        return len(self._nodes) - 1

    def node(self, ino: int) -> Node | None:
        """The castore node at ``ino``; None for the root, which is no node."""
        return self._nodes[ino]

    def lookup(self, parent: int, name: bytes) -> int | None:
        """The inode number of ``name`` in the directory ``parent``, or None."""
        children = self._children.get(parent)
        if children is None:
            children = self._load(parent)
        return children.get(name)

    def attributes(self, ino: int) -> Attributes:
        """What stat(2) shows; a directory's size is the number of entries below it."""
        node = self._nodes[ino]
        if isinstance(node, FileNode):
            return Attributes(ino, EXECUTABLE_MODE if node.executable else FILE_MODE, node.size)
        if isinstance(node, SymlinkNode):
            return Attributes(ino, SYMLINK_MODE, len(node.target))
        return Attributes(ino, DIRECTORY_MODE, len(self._children[ROOT]) if node is None else node.entry_count)

    def mode(self, ino: int) -> int:
        """The type and permission bits alone."""
        node = self._nodes[ino]
        if isinstance(node, FileNode):
            return EXECUTABLE_MODE if node.executable else FILE_MODE
        return SYMLINK_MODE if isinstance(node, SymlinkNode) else DIRECTORY_MODE

    def readdir(self, ino: int) -> Iterator[DirEntry]:
        """The listing of a directory: ``.``, ``..``, then its entries in the order of their bytes, or backwards."""
        children = self._children.get(ino)
        if children is None:
            children = self._load(ino)
        yield DirEntry(b".", ino, DIRECTORY_MODE)
        yield DirEntry(b"..", self._parents[ino], DIRECTORY_MODE)
        mode = self.mode
        for name, child in reversed(children.items()) if self._backwards else children.items():
            yield DirEntry(name, child, mode(child))

    def readlink(self, ino: int) -> bytes:
        """The target of a symlink, as it is stored; ``OSError`` (EINVAL) for anything else."""
        node = self._nodes[ino]
        if isinstance(node, SymlinkNode):
            return node.target
        raise OSError(errno.EINVAL, "only a symlink has a target")

    def open(self, ino: int) -> BlobReader:
        """A reader over the contents of a file; the caller closes it."""
        node = self._nodes[ino]
        if not isinstance(node, FileNode):
            raise IsADirectoryError("only a file has contents")
        reader = self._castore.blobs.reader(node.digest)
        if reader is None:
            raise NotFound("the store does not hold this blob", path=node.digest.hex())
        return reader

    def read(self, ino: int, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes from ``offset``; shorter only at the end of the file."""
        reader = self.open(ino)
        try:
            return reader.pread(offset, size)
        finally:
            reader.close()

    def xattrs(self, ino: int) -> dict[bytes, bytes]:
        """The extended attributes: Tvix's names; the value is the digest as Tvix prints it, ``b3:`` and base64."""
        node = self._nodes[ino]
        if isinstance(node, FileNode):
            return {XATTR_BLOB_DIGEST: _printed(node.digest)}
        if isinstance(node, DirectoryNode):
            return {XATTR_DIRECTORY_DIGEST: _printed(node.digest)}
        return {}

    def path(self, ino: int) -> tuple[bytes, ...]:
        """The names that lead from the root to ``ino``; empty for the root itself."""
        names: list[bytes] = []
        while ino != ROOT:
            names.append(self._names[ino])
            ino = self._parents[ino]
        return tuple(reversed(names))

    def _load(self, ino: int) -> dict[bytes, int]:
        node = self._nodes[ino]
        if not isinstance(node, DirectoryNode):
            raise NotADirectoryError("only a directory has entries")
        directory = self._castore.directories.get(node.digest)
        if directory is None:
            raise NotFound("the store does not hold this directory", path=node.digest.hex())
        return self._admit(ino, directory.entries)

    def _admit(self, parent: int, entries: Mapping[bytes, Node]) -> dict[bytes, int]:
        first = len(self._nodes)
        self._nodes.extend(entries.values())
        self._names.extend(entries)
        self._parents.extend([parent] * len(entries))
        children = dict(zip(entries, range(first, first + len(entries)), strict=True))
        self._children[parent] = children
        return children


def _printed(digest: Digest) -> bytes:
    return b"b3:" + base64.b64encode(digest)
