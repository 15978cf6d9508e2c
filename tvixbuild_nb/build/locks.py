"""Locks that die with their process: how one process sees that another is alive."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.platform == "win32":
    # Nothing is built on Windows, so nobody there holds a lock; records from elsewhere are over.
    def take(path: Path) -> int | None:
        """See below."""
        return os.open(path, os.O_RDWR | os.O_CREAT)

    def is_taken(path: Path) -> bool:
        """See below."""
        return False
else:
    import fcntl

    def take(path: Path) -> int | None:
        """Lock the file, made if need be, until the returned descriptor is closed; None when somebody else has it."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        return fd

    def is_taken(path: Path) -> bool:
        """Whether a living process has the lock; asking neither makes nor takes it."""
        try:
            fd = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False
