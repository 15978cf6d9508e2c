"""File locks between processes: who is alive, and who may collect garbage."""

from __future__ import annotations

import os
from pathlib import Path

from tvixbuild_nb.errors import StoreError

try:
    import fcntl
except ImportError:  # not a Unix
    fcntl = None  # type: ignore[assignment]


class FileLock:
    """An flock on ``path``, held from construction to :meth:`release`, or to the death of the process.

    ``shared`` locks exclude only exclusive ones.  Without ``wait``, :class:`BlockingIOError` when
    somebody else holds it.  Two locks of one process exclude each other like those of two.
    """

    def __init__(self, path: Path, *, shared: bool = False, wait: bool = True, create: bool = False) -> None:
        if fcntl is None:
            raise StoreError("this system has no flock, which a local store needs", path=path, hint="use memory:")
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o644)
        try:
            fcntl.flock(self.fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        except BaseException:
            os.close(self.fd)
            raise

    def release(self) -> None:
        """Let go; idempotent."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


class Lease:
    """This process's sign of life in a store: a locked file whose name marks what belongs to it."""

    def __init__(self, directory: Path) -> None:
        while True:
            self.name = os.urandom(8).hex()
            self._lock = FileLock(directory / self.name, create=True)
            # A reaper may have taken it for dead between its creation and the lock.
            if os.fstat(self._lock.fd).st_nlink:
                return
            self._lock.release()

    def release(self) -> None:
        """Say that nothing is held any more; whoever reaps next removes the sign and what it held, as after a death."""
        self._lock.release()


def reap(directory: Path) -> list[str]:
    """Remove the signs of dead processes from ``directory``; their names."""
    dead: list[str] = []
    for path in directory.iterdir():
        try:
            lock = FileLock(path, wait=False)
        except (BlockingIOError, FileNotFoundError):
            continue
        path.unlink(missing_ok=True)
        lock.release()
        dead.append(path.name)
    return dead
