"""What a tree is while it streams: one event for each thing met, in the order of a NAR.

Readers and walkers make events, writers and stores take them; nobody holds more of a tree than its open directories.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

# Contents below this come whole, others in pieces. Fresh memory for larger ones would come from the system each time.
SMALL = 128 * 1024
CHUNK = 1 << 20


@dataclass(slots=True)
class Enter:
    """A directory begins; everything up to its :class:`Leave` is in it. The root's name is empty."""

    name: bytes


@dataclass(slots=True)
class Leave:
    """The directory that was entered last ends."""


@dataclass(slots=True)
class Link:
    """A symlink."""

    name: bytes
    target: bytes


@dataclass(slots=True)
class File:
    """A regular file of ``size`` bytes.

    ``data`` is its contents: bytes, or pieces that are valid until the next but one is asked for, and that cannot be
    had any more once the next event is.  ``offset`` is where they begin in the NAR that they are read from.
    """

    name: bytes
    executable: bool
    size: int
    data: bytes | Iterable[bytes | memoryview]
    offset: int | None = None

    def pieces(self) -> Iterator[bytes | memoryview]:
        """The contents, whole or in pieces."""
        if isinstance(self.data, bytes):
            return iter((self.data,))
        return iter(self.data)


Event: TypeAlias = Enter | Leave | File | Link
LEAVE = Leave()
