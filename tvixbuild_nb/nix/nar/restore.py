"""From NAR to the host's file system."""

from __future__ import annotations

import os
from collections.abc import Iterable

from tvixbuild_nb.castore.export import NEW_FILE, OPEN_DIRECTORY, appearing, write_all
from tvixbuild_nb.castore.holes import is_hole
from tvixbuild_nb.castore.paths import AnyPath
from tvixbuild_nb.nix.nar.events import Enter, Event, File, Leave, Link


def restore(events: Iterable[Event], dest: AnyPath) -> None:
    """Make what ``events`` tell of at ``dest``, which must not exist; it appears complete or not at all.

    Modes as an export of castore gives them.  :class:`ExportError` when the system refuses; what reading the events
    raises, like :class:`InvalidNar`, goes on after everything was removed.
    """
    with appearing(dest) as draft:
        _make(events, draft)


def _make(events: Iterable[Event], draft: bytes) -> None:
    parents: list[int] = []
    try:
        for event in events:
            if isinstance(event, Leave):
                os.close(parents.pop())
                continue
            # The root has no name: it is made as the draft, without a descriptor to be relative to.
            parent, name = (parents[-1], event.name) if parents else (None, draft)
            if isinstance(event, Enter):
                os.mkdir(name, 0o777, dir_fd=parent)
                parents.append(os.open(name, OPEN_DIRECTORY, dir_fd=parent))
            elif isinstance(event, Link):
                os.symlink(event.target, name, dir_fd=parent)
            else:
                _write_file(event, name, parent)
    finally:
        for fd in parents:
            os.close(fd)


def _write_file(event: File, name: bytes, parent: int | None) -> None:
    fd = os.open(name, NEW_FILE, 0o777 if event.executable else 0o666, dir_fd=parent)
    try:
        position = 0
        for piece in event.pieces():
            if not is_hole(piece):
                os.lseek(fd, position, os.SEEK_SET)
                write_all(fd, piece)
            position += len(piece)
        os.ftruncate(fd, position)
    finally:
        os.close(fd)
