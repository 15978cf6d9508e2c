"""The mount view of a sandbox, looked into from outside: what a path inside leads to, link by link."""

from __future__ import annotations

import io
import os
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Literal

from tvixbuild_nb.castore import Castore, Digest, Directory, DirectoryNode, FileNode, Node, SymlinkNode
from tvixbuild_nb.errors import NotFound
from tvixbuild_nb.fs.trace import Search
from tvixbuild_nb.oci import SpecOptions
from tvixbuild_nb.oci.layout import MAX_LINKS, Layout, Place
from tvixbuild_nb.oci.mounts import scratch_name, takes_writes
from tvixbuild_nb.oci.rootview import RootNode, root_of
from tvixbuild_nb.oci.spec import Mount
from tvixbuild_nb.request import BuildRequest

Kind = Literal["file", "directory", "symlink", "device", "missing", "unknown"]
_MOST = 64 << 20
_MOST_NAMES = 50_000
_MOST_TRIED = 8


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands at ``path`` inside: ``missing`` is known not to be there, of ``unknown`` nothing is known.

    ``origin`` says in words where it comes from; ``via`` are the links that were followed to it.
    """

    path: str
    kind: Kind
    origin: str = ""
    target: str | None = None
    executable: bool | None = None
    source: Node | Path | bytes | None = None
    via: tuple[str, ...] = ()


class MountView:
    """The tree of ``/`` as the mounts make it: inputs from the store, the host's paths, the kept scratch directories.

    Raises :class:`InvalidSpec` when no bundle can hold the request, and whatever is asked :class:`NotFound` for parts
    of the inputs that the store lacks. It reads, and never follows a link of the sandbox on the host.
    """

    def __init__(
        self,
        request: BuildRequest,
        options: SpecOptions,
        castore: Castore,
        bundle: Path | None = None,
        searches: tuple[Search, ...] = (),
    ) -> None:
        self.request = request
        self.options = options
        self._searches = {search.name: search for search in searches}
        self._castore = castore
        self._bundle = bundle
        self._layout = Layout(request, options, self._directory)
        self._root = root_of(self._layout, self._directory)

    def _directory(self, digest: Digest) -> Directory:
        directory = self._castore.directories.get(digest)
        if directory is None:
            # Not an empty one: of what is not there nothing must be said.
            raise NotFound(f"the store lacks the directory {digest}")
        return directory

    def resolve(self, path: str) -> Entry:
        """What ``path`` (relative: to the working directory) leads to, all links followed; loops are ``missing``."""
        todo = (path if path.startswith("/") else f"/{self.request.working_dir}/{path}").split("/")
        done: list[str] = []
        via: list[str] = []
        entry = Entry("/", "directory", "the root directory")
        while todo:
            part = todo.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                done[-1:] = []
                continue
            done.append(part)
            entry = self.entry("/" + "/".join(done))
            if entry.kind == "symlink" and entry.target is not None:
                via.append(f"{entry.path} -> {entry.target}")
                if len(via) > MAX_LINKS:
                    return Entry(entry.path, "missing", "links that go round in circles", via=tuple(via[:3]))
                done = [] if entry.target.startswith("/") else done[:-1]
                todo = [*entry.target.split("/"), *todo]
            elif entry.kind in ("missing", "unknown") or (entry.kind != "directory" and todo):
                kind: Kind = "unknown" if entry.kind == "unknown" else "missing"
                return Entry("/" + "/".join([*done, *todo]), kind, entry.origin, via=tuple(via))
        if not done:
            return Entry("/", "directory", "the root directory", via=tuple(via))
        return Entry(entry.path, entry.kind, entry.origin, None, entry.executable, entry.source, tuple(via))

    def entry(self, path: str) -> Entry:
        """What stands at the absolute ``path`` itself; what is above it is taken for directories."""
        place = self._layout.holding(path)
        if place.where == "input":
            assert place.mount is not None
            node = self._layout.find(place)
            return _of_node(path, node, f"in {place.mount.asked_for_by}" if place.rest else place.mount.asked_for_by)
        if place.where == "host":
            assert place.mount is not None
            return _of_host(path, Path(place.mount.mount.source, *place.rest), "of the host")
        known = self._root.find(path)
        if place.where == "scratch" and self._bundle is not None:
            found = self._in_scratch(path, place)
            if found.kind != "missing" or known is None:
                return found
        if known is not None:
            return self._of_root(path, known)
        # What a build made there meanwhile, or the kernel has, is not known.
        return Entry(path, "missing" if place.where == "root" else "unknown", "the root file system is read-only")

    def _in_scratch(self, path: str, place: Place) -> Entry:
        assert self._bundle is not None and place.mount is not None
        scratch = self._bundle / "scratch" / scratch_name(place.mount.destination.lstrip("/"))
        return _of_host(path, scratch.joinpath(*place.rest), "in the scratch directory")

    def _of_root(self, path: str, node: RootNode) -> Entry:
        contents = self.request.additional_files.get(path[1:])
        kind: Kind = "unknown" if node.kind == "any" else node.kind
        # Additional files are made without x bits.
        return Entry(path, kind, node.origin, node.target, False if contents is not None else None, contents)

    def open(self, entry: Entry) -> BinaryIO | None:
        """The contents of a file, seekable; None for what is not known, not readable or very large."""
        source = entry.source
        if isinstance(source, FileNode):
            if source.size > _MOST:
                return None
            stream = self._castore.blobs.open_read(source.digest)
            if stream is None:
                raise NotFound(f"the store lacks the blob {source.digest}", path=entry.path)
            with stream:
                return io.BytesIO(stream.read(_MOST))
        if isinstance(source, bytes):
            return io.BytesIO(source)
        if isinstance(source, Path) and entry.kind == "file":
            try:
                with source.open("rb") as file:
                    return io.BytesIO(file.read(_MOST))
            except OSError:  # closed to us: its owner is an id of the sandbox
                return None
        return None

    def names(self, path: str) -> tuple[str, ...]:
        """The names in the directory ``path`` inside, where they are known."""
        entry = self.resolve(path)
        if isinstance(entry.source, DirectoryNode):
            return tuple(map(os.fsdecode, self._directory(entry.source.digest).entries))
        if isinstance(entry.source, Path) and entry.kind == "directory":
            try:
                return tuple(sorted(os.listdir(entry.source)))
            except OSError:
                return ()
        known = self._root.find(entry.path)
        return () if known is None else tuple(child.name for child in known.children or ())

    @cached_property
    def files(self) -> tuple[tuple[str, Node], ...]:
        """Every file and link of the inputs by its path inside, until there were very many; read once."""
        todo: list[tuple[str, Node]] = [
            (f"/{self.request.input_path(name)}", node) for name, node in reversed(list(self.request.inputs.items()))
        ]
        found: list[tuple[str, Node]] = []
        for _ in range(_MOST_NAMES):
            if not todo:
                break
            path, node = todo.pop()
            if not isinstance(node, DirectoryNode):
                found.append((path, node))
                continue
            for name, below in self._directory(node.digest).entries.items():
                todo.append((f"{path}/{os.fsdecode(name)}", below))
        return tuple(found)

    def searched(self, name: str) -> str | None:
        """Where the build really looked for a file of this name, in order, as its accesses have it; None if unknown."""
        search = self._searches.get(name)
        if search is None:
            return None
        places = [f"/{self.request.inputs_dir}/{place}".replace("//", "/") for place in search.tried]
        more = f" and {len(places) - _MOST_TRIED} more" if len(places) > _MOST_TRIED else ""
        where = "nowhere" if search.found is None else f"found as /{self.request.inputs_dir}/{search.found}"
        return f"{name} was looked for in {', '.join(places[:_MOST_TRIED])}{more}: {where}".replace("//", "/")

    def mount_of(self, path: str) -> Mount | None:
        """The mount that holds the absolute ``path``, links followed as far as they are known; None for the root."""
        found = self.resolve(path)
        holder = self._layout.holding(found.path).mount
        return None if holder is None else holder.mount

    def is_scratch(self, path: str) -> bool:
        """Whether the absolute ``path`` lies in, or is, a scratch directory."""
        place = self._layout.holding(path)
        return place.where == "scratch"

    def writable(self) -> tuple[str, ...]:
        """Where a build may write, in the order of the mounts; without the kernel's own places."""
        return tuple(
            mount.destination
            for mount in self._layout.mounts
            if takes_writes(mount.mount)
            and mount.mount.type not in ("mqueue", "devpts")
            and mount.destination != "/dev"
        )


def _of_node(path: str, node: Node | None, origin: str) -> Entry:
    match node:
        case None:
            return Entry(path, "missing", f"not {origin}")
        case DirectoryNode():
            return Entry(path, "directory", origin, source=node)
        case FileNode():
            return Entry(path, "file", origin, executable=node.executable, source=node)
        case SymlinkNode():
            return Entry(path, "symlink", origin, os.fsdecode(node.target), source=node)


def _of_host(path: str, place: Path, origin: str) -> Entry:
    try:
        found = place.lstat()
        target = os.readlink(place) if stat.S_ISLNK(found.st_mode) else None
    except (FileNotFoundError, NotADirectoryError):
        return Entry(path, "missing", f"not {origin}")
    except OSError:
        return Entry(path, "unknown", origin)
    kind: Kind = "symlink" if target is not None else "directory" if stat.S_ISDIR(found.st_mode) else "device"
    if stat.S_ISREG(found.st_mode):
        kind = "file"
    return Entry(path, kind, origin, target, bool(found.st_mode & 0o111), place)
