"""Where a server records what goes on: a directory that goes with it, also when it is killed."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tvixbuild_nb.build.locks import is_taken, take
from tvixbuild_nb.errors import HostRefused

_LOCK = "lock"


@contextmanager
def own_directory(parent: Path) -> Iterator[Path]:
    """A fresh directory below ``parent`` during the block; those of servers that died are removed first.

    :class:`HostRefused` when none can be made.
    """
    try:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sweep(parent)
        path = parent / secrets.token_hex(8)
        path.mkdir(mode=0o700)
        lock = take(path / _LOCK)
    except OSError as error:
        raise HostRefused(f"runs cannot be recorded: {error.strerror}", path=parent) from error
    assert lock is not None, "nobody else knows the name"
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _sweep(parent: Path) -> None:
    for path in parent.iterdir():
        # Without a lock it may be one that is just being made.
        if (path / _LOCK).exists() and not is_taken(path / _LOCK):
            shutil.rmtree(path, ignore_errors=True)
