"""Where a path of the sandbox is kept: the simulation of mounts over mounts that planning rests on.

Mounts are made in order and hide what lies below them, and the runtime follows symlinks while it looks
for a mount point. So a path of the sandbox can be in ``root/``, in a scratch directory, in a file system
made while the container starts (tmpfs), in the kernel's (/proc, /sys), in an input or on the host.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.nodes import Directory, DirectoryNode, FileNode, Node, SymlinkNode
from tvixbuild_nb.errors import InvalidSpec
from tvixbuild_nb.oci.mounts import PlannedMount, planned_mounts, symlink_inputs
from tvixbuild_nb.oci.options import SpecOptions
from tvixbuild_nb.request import BuildRequest

# What reads a directory of an input, such as ``castore.directories.get``.
Lookup = Callable[[Digest], Directory | None]
Where = Literal["root", "scratch", "tmpfs", "kernel", "input", "host"]
MAX_LINKS = 40


@dataclass(frozen=True, slots=True)
class Place:
    """A path inside, after links: ``mount`` is the topmost mount that holds it, ``rest`` its path in there."""

    where: Where
    path: str
    rest: tuple[str, ...]
    mount: PlannedMount | None = None


@dataclass(frozen=True, slots=True)
class Need:
    """Something that must be there already, since what holds it is read-only: ``path`` in an input or on the host."""

    where: Literal["input", "host"]
    holder: str
    path: str
    kind: Literal["directory", "file"]
    purpose: str


class Layout:
    """The mounts of a request and where they put every path.

    With a ``lookup`` links inside inputs are followed and what is missing in one is found; without,
    paths inside inputs are taken as they are written.
    """

    def __init__(self, request: BuildRequest, options: SpecOptions, lookup: Lookup | None = None) -> None:
        self.request = request
        self.options = options
        self.mounts: Sequence[PlannedMount] = planned_mounts(request, options)
        self.links: Mapping[str, SymlinkNode] = symlink_inputs(request, options)
        self._lookup = lookup
        # Where each mount really ends up, known for those before the one that is looked at.
        self._at: dict[str, list[int]] = {}
        self.points: list[Place] = []
        for position, mount in enumerate(self.mounts):
            place = self.locate(mount.destination, f"the mount point {mount.destination}", position)
            self._at.setdefault(place.path, []).append(position)
            self.points.append(place)

    def locate(self, path: str, purpose: str, before: int | None = None) -> Place:
        """Where the absolute ``path`` is kept, below the first ``before`` mounts (None: all of them).

        Raises :class:`InvalidSpec` for links without end, and for a path through a file or a missing
        directory of an input.
        """
        parts = _parts(path)
        done: list[str] = []
        followed = 0
        while parts:
            part = parts.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                done[-1:] = []
                continue
            done.append(part)
            target = self._link(done, before, purpose, last=not parts)
            if target is not None:
                followed += 1
                if followed > MAX_LINKS:
                    raise InvalidSpec(f"{purpose} ({path}): too many symlinks on the way", path="inputs")
                done = [] if target.startswith("/") else done[:-1]
                parts = [*target.split("/"), *parts]
        return self._place(done, before)

    def holding(self, path: str) -> Place:
        """Where ``path`` itself is kept below all mounts, no link followed."""
        return self._place(_parts(path), None)

    def _place(self, parts: Sequence[str], before: int | None) -> Place:
        path = "/" + "/".join(parts)
        end = len(self.mounts) if before is None else before
        # The last mount made at the path or above it is the one that is seen.
        seen = [
            (position, above) for above in ancestors(path) for position in self._at.get(above, ()) if position < end
        ]
        if seen:
            position, destination = max(seen)
            mount = self.mounts[position]
            return Place(_where(mount), path, tuple(_parts(path)[len(_parts(destination)) :]), mount)
        return Place("root", path, tuple(parts))

    def _link(self, parts: Sequence[str], before: int | None, purpose: str, *, last: bool) -> str | None:
        place = self._place(parts, before)
        if place.where in ("root", "scratch"):
            link = self.links.get(place.path)
            return None if link is None else link.target.decode("utf-8", "surrogateescape")
        if place.where == "input" and self._lookup is not None and place.rest:
            node = self.find(place)
            if isinstance(node, SymlinkNode):
                return node.target.decode("utf-8", "surrogateescape")
            if not last and not isinstance(node, DirectoryNode):
                raise missing(place, purpose)
        return None

    def find(self, place: Place) -> Node | None:
        """The node at a place inside an input, or None when the input does not have it."""
        assert place.mount is not None and place.mount.node is not None and self._lookup is not None
        node: Node | None = place.mount.node
        for part in place.rest:
            if not isinstance(node, DirectoryNode):
                return None
            directory = self._lookup(node.digest)
            node = None if directory is None else directory.entries.get(part.encode("utf-8", "surrogateescape"))
        return node

    def need(self, place: Place, kind: Literal["directory", "file"], purpose: str) -> Need | None:
        """What must be there for ``purpose``; None when it is there, :class:`InvalidSpec` when it cannot be."""
        assert place.mount is not None
        if place.where == "host":
            path = "/".join((place.mount.mount.source.rstrip("/"), *place.rest))
            return Need("host", place.mount.asked_for_by, path, kind, purpose)
        if place.rest and not isinstance(place.mount.node, DirectoryNode):
            raise missing(place, purpose)
        if self._lookup is None:
            return Need("input", place.mount.asked_for_by, "/".join(place.rest), kind, purpose)
        node = self.find(place)
        if not isinstance(node, DirectoryNode if kind == "directory" else FileNode):
            raise missing(place, purpose)
        return None


def missing(place: Place, purpose: str) -> InvalidSpec:
    """The error for something that would have to be made inside a read-only input."""
    assert place.mount is not None
    rest = "/".join(place.rest)
    return InvalidSpec(
        f"{purpose} would have to lie inside this read-only input, which does not have it as {rest!r}",
        path="inputs",
        index=place.mount.index,
        hint=f"add {rest!r} to {place.mount.asked_for_by}, or set another inputs_dir",
    )


def covers(destination: str, path: str) -> bool:
    """Whether a mount at ``destination`` holds or hides ``path``; both absolute."""
    return destination in ("/", path) or path.startswith(destination + "/")


def ancestors(path: str) -> list[str]:
    """``/``, every directory on the way, and the absolute ``path`` itself."""
    found = ["/"]
    for part in _parts(path):
        found.append(f"{found[-1].rstrip('/')}/{part}")
    return found


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _where(mount: PlannedMount) -> Where:
    match mount.kind:
        case "scratch":
            return "scratch"
        case "input":
            return "input"
        case "sandbox":
            return "tmpfs" if mount.mount.type == "tmpfs" else "kernel"
        case _:
            return "host"
