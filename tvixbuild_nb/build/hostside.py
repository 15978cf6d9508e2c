"""HostSide: this process as the kernel describes it, to be put beside a sandbox's."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from typing import Literal, Self

from tvixbuild_nb.build.inside import parse_limits, parse_status
from tvixbuild_nb.oci import IdMapping, capabilities_of, facts
from tvixbuild_nb.oci.capabilities import NAMESPACE_FILES
from tvixbuild_nb.oci.host import listed_ranges


@dataclass(frozen=True, slots=True)
class HostSide:
    """Namespaces (name below /proc/self/ns -> kernel identity), limits, effective capabilities of this process.

    ``protected``: which of the paths that are masked or made read-only by default this kernel has.
    ``uid_ranges`` and ``gid_ranges``: what a keeper's own user namespace maps for somebody who is not root (its 0 is
    the caller, 1 and on the subordinate ids); empty for root, whose keeper has none.
    """

    namespaces: dict[str, str]
    limits: dict[str, tuple[str, str, str]]
    capabilities: frozenset[str]
    hostname: str
    protected: dict[str, bool] = field(default_factory=dict)
    uid_ranges: tuple[IdMapping, ...] = ()
    gid_ranges: tuple[IdMapping, ...] = ()

    @classmethod
    def here(cls) -> Self | None:
        """This process; None on a system without /proc."""
        if sys.platform != "linux":
            return None
        try:
            with open("/proc/self/status", encoding="utf-8", errors="surrogateescape") as file:
                status = parse_status(file.read())
            with open("/proc/self/limits", encoding="ascii", errors="replace") as file:
                limits = parse_limits(file.read())
            files = [name for name in NAMESPACE_FILES.values() if os.path.lexists(f"/proc/self/ns/{name}")]
            namespaces = {name: os.readlink(f"/proc/self/ns/{name}") for name in files}
        except OSError:
            return None
        effective = capabilities_of(int(status.get("CapEff", "0"), 16))
        uid, gid = os.geteuid(), os.getegid()
        ranges = ((), ()) if uid == 0 else (_keeper_map("uid", uid, uid), _keeper_map("gid", uid, gid))
        protected = {path: os.path.lexists(path) for path in (*facts.MASKED_PATHS, *facts.READONLY_PATHS)}
        return cls(namespaces, limits, effective, os.uname().nodename, protected, *ranges)

    @property
    def has_keeper_ids(self) -> bool:
        return bool(self.uid_ranges)

    def through_keeper(self, kind: Literal["uid", "gid"], number: int) -> int | None:
        """The host's id of one in the keeper's user namespace, or None."""
        ranges = self.uid_ranges if kind == "uid" else self.gid_ranges
        return next((host for ids in ranges if (host := ids.maps(number)) is not None), None)


def _keeper_map(kind: str, uid: int, own: int) -> tuple[IdMapping, ...]:
    mappings = [IdMapping(container_id=0, host_id=own)]
    if listed := listed_ranges(f"/etc/sub{kind}", uid):
        start, size = listed[0]
        mappings.append(IdMapping(container_id=1, host_id=start, size=size))
    return tuple(mappings)
