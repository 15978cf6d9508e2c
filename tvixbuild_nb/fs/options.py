"""How a view is mounted, whoever mounts it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MountOptions:
    """How a view is mounted. ``allow_other``: other users may look in. ``xattrs``: digests as attributes.

    ``opens``: whether the file system hears of every open; without, reading small files is quicker.
    """

    allow_other: bool = False
    xattrs: bool = False
    opens: bool = True
