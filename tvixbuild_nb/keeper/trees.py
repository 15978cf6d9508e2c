"""Trees that belong to somebody else: made readable, or removed, by directory descriptors only.

What a build left in its scratch directories is hostile: nothing here follows a link or resolves a
path of more than one component.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

# Never through a link. (The names exist on Unix only; importing must work anywhere.)
OPEN_DIRECTORY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


class _Cursor:
    """Where a walk stands: one open directory, however deep or wide the tree.

    Up goes by ``..``, and only if that is the directory the walk came from.
    """

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, OPEN_DIRECTORY)
        self._above: list[tuple[int, int]] = []

    def down(self, name: str) -> None:
        self._above.append(self._identity())
        self._move(name)

    def up(self) -> None:
        self._move("..")
        if self._identity() != self._above.pop():
            raise OSError(errno.ESTALE, "the tree was moved while it was walked", "..")

    def names(self) -> list[str]:
        return os.listdir(self.fd)

    def close(self) -> None:
        os.close(self.fd)

    def _move(self, name: str) -> None:
        fd = os.open(name, OPEN_DIRECTORY, dir_fd=self.fd)
        os.close(self.fd)
        self.fd = fd

    def _identity(self) -> tuple[int, int]:
        status = os.fstat(self.fd)
        return status.st_dev, status.st_ino


def give(directory: str, relative: str, uid: int, gid: int) -> None:
    """Give what is at ``relative`` below ``directory`` to uid:gid; no part of ``relative`` is followed as a link.

    FileNotFoundError and NotADirectoryError where there is no such thing, or a link leads to it.
    """
    *parents, name = relative.split("/")
    at = _Cursor(directory)
    try:
        for parent in parents:
            at.down(parent)
        os.chown(name, uid, gid, dir_fd=at.fd, follow_symlinks=False)
    finally:
        at.close()


def adopt(path: str, uid: int, gid: int) -> None:
    """Give the tree at ``path`` to uid:gid and let the owner read it all.

    Directories get u+rwx, files u+r; the x bits of files stay as they were, since they are part of
    the output. Links are handed over and never followed.
    """
    at = _Cursor(os.path.dirname(path))
    todo = [[os.path.basename(path)]]
    try:
        while todo:
            if not todo[-1]:
                todo.pop()
                if todo:
                    at.up()
                continue
            name = todo[-1].pop()
            if _adopt_entry(name, at.fd, uid, gid):
                at.down(name)
                todo.append(at.names())
    finally:
        at.close()


def _adopt_entry(name: str, parent: int, uid: int, gid: int) -> bool:
    """Hand over one entry; whether it is a directory."""
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if (status.st_uid, status.st_gid) != (uid, gid):
        os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)
    mode = stat.S_IMODE(status.st_mode)
    is_directory = stat.S_ISDIR(status.st_mode)
    wanted = 0o700 if is_directory else 0o400 if stat.S_ISREG(status.st_mode) else 0
    if mode & wanted != wanted:
        os.chmod(name, mode | wanted, dir_fd=parent)
    return is_directory


def remove(path: str) -> None:
    """Remove the tree at ``path``, whatever its modes; absent is fine, OSError names what resisted.

    Somebody else may be removing the same tree.
    """
    try:
        at = _Cursor(os.path.dirname(path))
    except FileNotFoundError:
        return
    todo = [[os.path.basename(path)]]
    inside: list[str] = []
    try:
        while todo:
            if not todo[-1]:
                todo.pop()
                if inside:
                    at.up()
                    with contextlib.suppress(FileNotFoundError):
                        os.rmdir(inside.pop(), dir_fd=at.fd)
                continue
            name = todo[-1].pop()
            try:
                if _unlink(name, at.fd):
                    continue
                _open_up(name, at.fd)
                at.down(name)
            except FileNotFoundError:
                continue
            inside.append(name)
            todo.append(at.names())
    finally:
        at.close()


def _unlink(name: str, parent: int) -> bool:
    """Remove one entry; False when it is a directory."""
    try:
        os.unlink(name, dir_fd=parent)
    except (IsADirectoryError, PermissionError):
        # Linux says EISDIR for a directory, POSIX would say EPERM; anything else fails again later.
        return False
    return True


def _open_up(name: str, parent: int) -> None:
    """Let the owner of the directory ``name`` list and empty it."""
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        raise PermissionError(errno.EPERM, "cannot be removed", name)
    if status.st_mode & 0o700 != 0o700:
        os.chmod(name, 0o700, dir_fd=parent)
