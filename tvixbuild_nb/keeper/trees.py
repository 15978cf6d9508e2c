"""Trees that belong to somebody else: made readable, or removed, by directory descriptors only.

What a build left in its scratch directories is hostile: nothing here follows a link or resolves a
path of more than one component.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def _entries(fd: int) -> Iterator[tuple[str, bool]]:
    with os.scandir(fd) as scan:
        for entry in scan:
            yield entry.name, entry.is_dir(follow_symlinks=False)


def adopt(path: str, uid: int, gid: int) -> None:
    """Give the tree at ``path`` to uid:gid and let the owner read it all.

    Directories get u+rwx, files u+r; the x bits of files stay as they were, since they are part of
    the output. Links are handed over and never followed.
    """
    parent = os.open(os.path.dirname(path), _DIRECTORY)
    try:
        _adopt_entry(parent, os.path.basename(path), uid, gid)
    finally:
        os.close(parent)


def _adopt_entry(parent: int, name: str, uid: int, gid: int) -> None:
    pending = [(os.dup(parent), [name])]
    while pending:
        directory, names = pending.pop()
        try:
            for child in names:
                status = os.stat(child, dir_fd=directory, follow_symlinks=False)
                if (status.st_uid, status.st_gid) != (uid, gid):
                    os.chown(child, uid, gid, dir_fd=directory, follow_symlinks=False)
                mode = stat.S_IMODE(status.st_mode)
                if stat.S_ISDIR(status.st_mode):
                    if mode & 0o700 != 0o700:
                        os.chmod(child, mode | 0o700, dir_fd=directory)
                    fd = os.open(child, _DIRECTORY, dir_fd=directory)
                    pending.append((fd, [entry for entry, _ in _entries(fd)]))
                elif stat.S_ISREG(status.st_mode) and not mode & 0o400:
                    os.chmod(child, mode | 0o400, dir_fd=directory)
        finally:
            os.close(directory)


def remove(path: str) -> None:
    """Remove the tree at ``path``, whatever its modes; absent is fine, OSError names what resisted."""
    try:
        parent = os.open(os.path.dirname(path), _DIRECTORY)
    except FileNotFoundError:
        return
    try:
        _remove_entry(parent, os.path.basename(path))
    finally:
        os.close(parent)


def _remove_entry(parent: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=parent)
        return
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        # Linux says EISDIR for a directory, POSIX would say EPERM; anything else fails again below.
        pass
    # An explicit stack: a build may nest directories deeper than Python recurses.
    stack = [_open_for_removal(name, parent)]
    names = [name]
    listings = [list(_entries(stack[0]))]
    try:
        while stack:
            if listings[-1]:
                child, is_directory = listings[-1].pop()
                if not is_directory:
                    os.unlink(child, dir_fd=stack[-1])
                    continue
                fd = _open_for_removal(child, stack[-1])
                stack.append(fd)
                names.append(child)
                listings.append(list(_entries(fd)))
                continue
            os.close(stack.pop())
            listings.pop()
            os.rmdir(names.pop(), dir_fd=stack[-1] if stack else parent)
    finally:
        for fd in stack:
            os.close(fd)


def _open_for_removal(name: str, parent: int) -> int:
    try:
        fd = os.open(name, _DIRECTORY, dir_fd=parent)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=parent)
        fd = os.open(name, _DIRECTORY, dir_fd=parent)
    if os.fstat(fd).st_mode & 0o300 != 0o300:
        os.fchmod(fd, 0o700)
    return fd
