"""Export: a node becomes a path again, complete or not at all."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from tvixbuild_nb.castore.ahead import with_contents
from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.holes import is_hole
from tvixbuild_nb.castore.nodes import DirectoryNode, FileNode, Node, SymlinkNode
from tvixbuild_nb.castore.progress import Progress, Shown
from tvixbuild_nb.errors import ExportError, NotFound

if TYPE_CHECKING:
    from tvixbuild_nb.castore.castore import Castore

# A name and what is to be there; None: leave the directory that was entered last.
Step = tuple[bytes, Node | None]

# Larger pieces would be fresh memory from the system each time, which costs more than the copying.
_CHUNK = 64 * 1024
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
OPEN_DIRECTORY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


def export(
    castore: Castore,
    node: Node,
    dest: str | bytes | os.PathLike[str] | os.PathLike[bytes],
    *,
    progress: Progress | None = None,
) -> None:
    """Write ``node`` to ``dest``, whose parent exists and which itself does not; contents are checked on the way.

    Modes are 0666 for files and 0777 for executables and directories, less the umask; times and owners are those of
    now.  It is made beside ``dest`` under another name and renamed.  :class:`ExportError` when the
    system refuses, :class:`NotFound` for what the store lacks, :class:`DigestMismatch` for damage.
    """
    shown: AbstractContextManager[Progress] = Shown("export") if progress is None else nullcontext(progress)
    near, end = castore.endable()
    with appearing(dest) as draft, shown as progress:
        try:
            near.expect(node)
            _Export(near, progress).make(node, draft)
        finally:
            end()


@contextmanager
def appearing(dest: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> Iterator[bytes]:
    """A path beside ``dest``, where there is nothing yet; what the block makes there gets the name ``dest`` at its end.

    Nothing stays when an exception leaves the block.  :class:`ExportError` when there is something at ``dest``, and
    for every OSError of the block.
    """
    target = os.fsencode(dest).rstrip(b"/")
    parent, name = os.path.split(target)
    draft = os.path.join(parent, b".%s.%s" % (name[:200], os.urandom(6).hex().encode()))
    try:
        if not name or os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "there is something already", os.fsdecode(target))
        yield draft
        _publish(draft, target)
    except OSError as error:
        _remove(draft)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "free some space, or export to another disk" if full else None
        if error.errno == errno.EEXIST:
            hint = "export to a name that does not exist yet"
        raise ExportError(error.strerror or str(error), path=target, hint=hint) from error
    except BaseException:
        _remove(draft)
        raise


def _publish(draft: bytes, target: bytes) -> None:
    """Give ``draft`` its name without replacing anything that appeared meanwhile."""
    if stat.S_ISDIR(os.lstat(draft).st_mode):
        os.mkdir(target)
        os.rename(draft, target)  # onto the directory just made, which must still be empty
        return
    os.link(draft, target, follow_symlinks=False)
    os.unlink(draft)


def _remove(draft: bytes) -> None:
    if os.path.isdir(draft) and not os.path.islink(draft):
        shutil.rmtree(draft, ignore_errors=True)
    elif os.path.lexists(draft):
        os.unlink(draft)


class _Export:
    """One export: :meth:`_steps` plans it, :meth:`make` takes the steps one after the other.

    So the contents of small files are asked for before their turn, many at once, where that is quicker.
    """

    def __init__(self, castore: Castore, progress: Progress) -> None:
        self._castore = castore
        self._progress = progress

    def make(self, node: Node, draft: bytes) -> None:
        """Make ``node`` at the path ``draft``."""
        entered: list[int] = []
        try:
            for (name, each), data in with_contents(self._castore.blobs, self._steps(node, draft), _file_of):
                parent = entered[-1] if entered else None
                match each:
                    case FileNode():
                        self._file(each, name, parent, data)
                    case SymlinkNode():
                        os.symlink(each.target, name, dir_fd=parent)
                    case DirectoryNode():
                        os.mkdir(name, 0o777, dir_fd=parent)
                        entered.append(os.open(name, OPEN_DIRECTORY, dir_fd=parent))
                    case None:
                        os.close(entered.pop())
        finally:
            for fd in entered:
                os.close(fd)

    def _steps(self, node: Node, name: bytes) -> Iterator[Step]:
        """(name, node) in the order in which they are made: a directory, what is in it, and that it is left, None."""
        todo: list[Step] = [(name, node)]
        while todo:
            step = todo.pop()
            yield step
            if not isinstance(step[1], DirectoryNode):
                continue
            directory = self._castore.directories.get(step[1].digest)
            if directory is None:
                raise NotFound("the store does not hold this directory", path=str(step[1].digest))
            todo.append((b"", None))
            for child in directory:
                if isinstance(child[1], DirectoryNode):
                    todo.append(child)
                else:
                    yield child

    def _file(self, node: FileNode, name: bytes, parent: int | None, data: bytes | None) -> None:
        """Make a file in the open directory ``parent`` (None: a path); ``data``: its contents, if they are here."""
        stream = io.BytesIO(data) if data is not None else self._castore.blobs.open_read(Digest(node.digest))
        if stream is None:
            raise NotFound("the store does not hold this blob", path=str(node.digest))
        with stream:
            fd = os.open(name, NEW_FILE, 0o777 if node.executable else 0o666, dir_fd=parent)
            try:
                position, stretched = 0, False
                while chunk := stream.read(_CHUNK):
                    stretched = is_hole(chunk)
                    if not stretched:
                        os.lseek(fd, position, os.SEEK_SET)
                        write_all(fd, chunk)
                    position += len(chunk)
                    self._progress.advance(0, len(chunk))
                if stretched:
                    os.ftruncate(fd, position)
            finally:
                os.close(fd)
        self._progress.advance(1, 0)


def _file_of(step: Step) -> FileNode | None:
    return step[1] if isinstance(step[1], FileNode) else None


def write_all(fd: int, data: bytes | memoryview) -> None:
    """All of ``data``, however many calls it takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
