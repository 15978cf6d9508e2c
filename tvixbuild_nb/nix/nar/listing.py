"""What is in a NAR, without storing any of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tvixbuild_nb.nix.nar.events import Enter, File, Leave
from tvixbuild_nb.nix.nar.read import ByteSource, nar_events


@dataclass(frozen=True, slots=True)
class NarEntry:
    """One thing in a NAR; ``path`` is below the root, whose own is empty.

    ``size`` is a file's in bytes and ``offset`` where its contents begin in the NAR; ``target`` is a symlink's.
    """

    path: bytes
    kind: Literal["directory", "file", "symlink"]
    size: int | None = None
    executable: bool = False
    offset: int | None = None
    target: bytes | None = None


def list_nar(stream: ByteSource, *, path: str | None = None) -> Iterator[NarEntry]:
    """Every entry of the NAR in ``stream``, the root first, directories before what is in them.

    Contents are passed over, by seeking where the stream can.  :class:`InvalidNar` as :func:`nar_events` has it:
    entries before the fault have come by then.
    """
    parents: list[bytes] = []
    for event in nar_events(stream, path=path, contents=False):
        if isinstance(event, Leave):
            parents.pop()
            continue
        where = b"/".join(part for part in (*parents[-1:], event.name) if part)
        if isinstance(event, Enter):
            parents.append(where)
            yield NarEntry(where, "directory")
        elif isinstance(event, File):
            yield NarEntry(where, "file", event.size, event.executable, event.offset)
        else:
            yield NarEntry(where, "symlink", target=event.target)
