"""Ingest of paths: files, directories and symlinks become nodes, walking by descriptors and never through a link."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from tvixbuild_nb.castore.castore import Castore, open_castore
from tvixbuild_nb.castore.intake import SMALL, Intake
from tvixbuild_nb.castore.nodes import Directory, DirectoryNode, FileNode, Node, SymlinkNode
from tvixbuild_nb.castore.progress import Progress, Shown
from tvixbuild_nb.castore.refscan import Scanner
from tvixbuild_nb.castore.services import Batch
from tvixbuild_nb.errors import IngestError, InvalidNode

if TYPE_CHECKING:
    from tvixbuild_nb.castore.tree import Tree

AnyPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]

_NOFOLLOW = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)
_FILE = _NOFOLLOW | getattr(os, "O_NONBLOCK", 0)  # a FIFO put in a file's place must not block
_DIRECTORY = _NOFOLLOW | getattr(os, "O_DIRECTORY", 0)
_ENCODING = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()  # os.fsencode, without a call for each name


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a path: its node, and the indices of the needles seen in contents and symlink targets."""

    node: Node
    needles: frozenset[int] = frozenset()


def ingest(path: AnyPath, store: Castore | str | os.PathLike[str] | None = None) -> Tree:
    """Store what is at ``path`` and return it as a Tree; ``store`` is a Castore or what :func:`open_castore` takes."""
    castore = store if isinstance(store, Castore) else open_castore(store)
    return castore.tree(castore.ingest(path), os.path.basename(os.path.abspath(os.fsencode(path))))


def ingest_path(
    castore: Castore,
    path: AnyPath,
    *,
    needles: Sequence[bytes] = (),
    dir_fd: int | None = None,
    progress: Progress | None = None,
) -> Ingested:
    """Store the file, directory or symlink at ``path`` and say which ``needles`` occur in it.

    A symlink is stored as one, also at the root.  With ``dir_fd`` the path is relative to that open
    directory and walked step by step: neither ``..`` nor a symlinked parent leads anywhere.  What is
    neither file, directory nor symlink, what cannot be read and what vanishes raises
    :class:`IngestError` naming it; the store then shows nothing of it.
    """
    scanner = Scanner(needles)
    shown: AbstractContextManager[Progress] = Shown("ingest") if progress is None else nullcontext(progress)
    with shown as progress, castore.batch() as batch:
        with Intake(batch, scanner, progress) as intake, _parent(path, dir_fd) as (parent, name):
            walk = _Walk(batch, intake, scanner)
            node = walk.root(parent, name, os.fsencode(path))
        batch.commit(node)
    return Ingested(node, scanner.found)


@contextmanager
def _parent(path: AnyPath, dir_fd: int | None) -> Iterator[tuple[int | None, bytes]]:
    """(descriptor of the parent directory or None, the name in it); symlinked parents are refused below ``dir_fd``."""
    raw = os.fsencode(path)
    if dir_fd is None:
        # Without the trailing slash, which would follow a symlink.
        yield None, raw.rstrip(b"/") or raw[:1]
        return
    *parents, name = raw.split(b"/")
    if any(part in (b"", b"..") or (part == b"." and raw != b".") for part in (*parents, name)):
        raise IngestError("a path below a descriptor is relative and clean: no '.', '..' or empty part", path=raw)
    current = os.dup(dir_fd)
    try:
        for count, part in enumerate(parents, 1):
            with reading(b"/".join(parents[:count])):
                step = os.open(part, _DIRECTORY, dir_fd=current)
            os.close(current)
            current = step
        yield current, name
    finally:
        os.close(current)


class _Open:
    """A directory on the way: its entries so far, and once it is closed its node."""

    __slots__ = ("entries", "fd", "name", "node", "path", "todo", "waits")

    def __init__(self, fd: int, name: bytes, path: bytes) -> None:
        self.fd = fd
        self.name = name
        self.path = path
        self.entries: dict[bytes, Node | Future[FileNode] | _Open] = {}
        self.todo: list[bytes] = []
        self.waits = False  # for a large file here or below
        self.node: DirectoryNode | None = None


class _Walk:
    def __init__(self, batch: Batch, intake: Intake, scanner: Scanner) -> None:
        self._batch = batch
        self._intake = intake
        self._scanner = scanner
        self._late: list[_Open] = []  # directories that wait for large files, children before parents
        self._large: dict[Future[FileNode], bytes] = {}  # their paths, for errors

    def root(self, parent: int | None, name: bytes, path: bytes) -> Node:
        with reading(path):
            kind = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        if stat.S_ISLNK(kind):
            return self._symlink(name, parent, path)
        if stat.S_ISDIR(kind):
            with reading(path):
                fd = os.open(name, _DIRECTORY, dir_fd=parent)
            return self._directory(fd, path)
        if not stat.S_ISREG(kind):
            raise unfit(path, kind)
        found = self._file(name, parent, path)
        return self._result(found) if isinstance(found, Future) else found

    def _directory(self, fd: int, path: bytes) -> DirectoryNode:
        root = _Open(fd, b"", path)
        stack = [root]
        try:
            self._list(root)
            while stack:
                top = stack[-1]
                if top.todo:
                    name = top.todo.pop()
                    child_path = top.path + b"/" + name
                    with reading(child_path):
                        child = _Open(os.open(name, _DIRECTORY, dir_fd=top.fd), name, child_path)
                    stack.append(child)
                    self._list(child)
                    continue
                stack.pop()
                os.close(top.fd)
                if top.waits:
                    self._late.append(top)
                else:
                    top.node = self._put(Directory(cast("dict[bytes, Node]", top.entries)))
                if stack:
                    stack[-1].entries[top.name] = top.node or top
                    stack[-1].waits |= top.waits
        finally:
            for directory in stack:
                os.close(directory.fd)
        for directory in self._late:
            directory.node = self._store(directory.entries)
        assert root.node is not None
        return root.node

    def _list(self, directory: _Open) -> None:
        """Take in the files and symlinks of ``directory``, and note its subdirectories."""
        entries, fd = directory.entries, directory.fd
        encoding, errors = _ENCODING
        with reading(directory.path), os.scandir(fd) as listing:
            for entry in listing:
                name = entry.name.encode(encoding, errors)
                if entry.is_file(follow_symlinks=False):
                    found = self._file(name, fd, directory.path, name)
                    entries[name] = found
                    if type(found) is not FileNode:
                        directory.waits = True
                elif entry.is_dir(follow_symlinks=False):
                    directory.todo.append(name)
                elif entry.is_symlink():
                    entries[name] = self._symlink(name, fd, directory.path, name)
                else:
                    path = directory.path + b"/" + name
                    raise unfit(path, entry.stat(follow_symlinks=False).st_mode)

    def _file(self, name: bytes, parent: int | None, *path: bytes) -> FileNode | Future[FileNode]:
        try:
            fd = os.open(name, _FILE, dir_fd=parent)
        except OSError as error:
            raise _ingest_error(error, b"/".join(path)) from error
        handed_over = False
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise unfit(b"/".join(path), status.st_mode)
            size, executable = status.st_size, bool(status.st_mode & stat.S_IXUSR)
            if size < SMALL:
                data = os.read(fd, size + 1)
                if len(data) == size:
                    return self._intake.small(data, executable)
                # It has grown or shrunk since: take it as it comes.
            handed_over = True
            future = self._intake.large(fd, size, executable)
            self._large[future] = b"/".join(path)
            return future
        except OSError as error:
            raise _ingest_error(error, b"/".join(path)) from error
        finally:
            if not handed_over:
                os.close(fd)

    def _symlink(self, name: bytes, parent: int | None, *path: bytes) -> SymlinkNode:
        try:
            target = os.readlink(name, dir_fd=parent)
        except OSError as error:
            raise _ingest_error(error, b"/".join(path)) from error
        self._scanner.scan(target)
        return SymlinkNode(target)

    def _store(self, entries: dict[bytes, Node | Future[FileNode] | _Open]) -> DirectoryNode:
        nodes: dict[bytes, Node] = {}
        for name, entry in entries.items():
            if isinstance(entry, _Open):
                assert entry.node is not None
                nodes[name] = entry.node
            else:
                nodes[name] = self._result(entry) if isinstance(entry, Future) else entry
        return self._put(Directory(nodes))

    def _put(self, directory: Directory) -> DirectoryNode:
        return DirectoryNode(self._batch.put_directory(directory), directory.size)

    def _result(self, future: Future[FileNode]) -> FileNode:
        try:
            return future.result()
        except OSError as error:
            raise _ingest_error(error, self._large[future]) from error


@contextmanager
def reading(path: bytes) -> Iterator[None]:
    """What the system refuses about ``path`` inside the block becomes an :class:`IngestError` that names it."""
    try:
        yield
    except OSError as error:
        raise _ingest_error(error, path) from error
    except InvalidNode as error:
        raise IngestError(error.message, path=path) from error


def _ingest_error(error: OSError, path: bytes) -> IngestError:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return IngestError("a symlink, or no directory, where a file or directory was expected", path=path)
    return IngestError(error.strerror or str(error), path=path, hint=_HINTS.get(error.errno or 0))


_HINTS = {
    errno.EACCES: "make it readable for this user, or ingest as one who may read it",
    errno.EMFILE: "raise the limit of open files (ulimit -n): a directory is open for each level of depth",
}


def unfit(path: bytes, mode: int) -> IngestError:
    """The error for what is neither file, directory nor symlink; ``mode`` is its ``st_mode``."""
    kinds = {
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a character device",
        stat.S_IFBLK: "a block device",
    }
    kind = kinds.get(stat.S_IFMT(mode), "of an unknown kind")
    return IngestError(f"this is {kind}: only files, directories and symlinks can be stored", path=path)
