"""The resulting tree of ``/``: what the process will see where, where it comes from, and whether it takes writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from tvixbuild_nb.castore.nodes import Directory, DirectoryNode, FileNode, Node, SymlinkNode
from tvixbuild_nb.oci.layout import Layout, Lookup, Place
from tvixbuild_nb.oci.mounts import PlannedMount, scratch_name, takes_writes
from tvixbuild_nb.oci.options import SpecOptions
from tvixbuild_nb.oci.plan import Made, plan_bundle
from tvixbuild_nb.oci.seen import DEFAULT_DEVICES
from tvixbuild_nb.oci.shown import shown
from tvixbuild_nb.request import BuildRequest

NodeKind = Literal["directory", "file", "symlink", "device", "any"]
# Of an input's own entries; the rest is counted.
MAX_ENTRIES = 200
# runtime-spec, runtime-linux.md: links a runtime makes in /dev.
_LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}


@dataclass(frozen=True, slots=True)
class RootNode:
    """One name in the tree. ``kind`` ``any``: what the kernel has there, file or directory.

    ``origin`` says in words where it comes from, ``asked_for_by`` which field of the request (or ``sandbox``, or
    ``runtime``). ``writable``: whether the file system there takes writes; permission bits may still refuse them.
    ``children`` None: not looked at; ``more``: how many further entries it has.
    """

    name: str
    path: str
    kind: NodeKind
    origin: str
    asked_for_by: str
    writable: bool
    target: str | None = None
    children: tuple[RootNode, ...] | None = ()
    more: int = 0

    def find(self, path: str) -> RootNode | None:
        """The node at the absolute ``path``, or None."""
        node: RootNode | None = self
        for part in (part for part in path.split("/") if part):
            node = next((child for child in (node.children or ()) if child.name == part), None) if node else None
        return node

    def walk(self, depth: int = 0) -> Iterator[tuple[int, RootNode]]:
        """(depth, node) of this node and everything below it, parents first."""
        yield depth, self
        for child in self.children or ():
            yield from child.walk(depth + 1)

    def __str__(self) -> str:
        lines = []
        for depth, node in self.walk():
            name = node.name if node.target is None else f"{node.name} -> {node.target}"
            text = f"{'  ' * depth}{name}  ({node.origin}{', writable' if node.writable else ''})"
            lines.append(shown(text))
            if node.more:
                lines.append(f"{'  ' * (depth + 1)}... and {node.more} more")
        return "\n".join(lines)


def root_view(request: BuildRequest, options: SpecOptions, lookup: Lookup | None = None) -> RootNode:
    """The tree of ``/`` after all mounts; pure, and :class:`InvalidSpec` when no bundle can hold the request.

    With ``lookup`` (``castore.directories.get``) the first level of each input is there, else left open.
    """
    return root_of(Layout(request, options, lookup), lookup)


def root_of(layout: Layout, lookup: Lookup | None) -> RootNode:
    """As :func:`root_view`, for whoever has the layout already."""
    request, options = layout.request, layout.options
    plan = plan_bundle(request, options, "/bundle", lookup=lookup)
    tree = _Grown(layout)
    scratches = {scratch_name(path): path for path in request.scratch_paths}
    for made in plan.made:
        top, _, rest = made.path.partition("/")
        if top == "scratch" and "/" in rest:
            name, _, rest = rest.partition("/")
            tree.made(made, f"/{scratches[name]}/{rest}", "scratch")
        elif top == "root" and rest:
            tree.made(made, f"/{rest}", "root")
    for mount, point in zip(layout.mounts, layout.points, strict=True):
        if layout.holding(point.path).mount is mount:
            tree.mount(mount, point.path)
            tree.contents(mount, point.path, lookup)
    tree.devices(options)
    tree.protected(options)
    return tree.grown()


@dataclass(slots=True)
class _Draft:
    kind: NodeKind
    origin: str
    asked_for_by: str
    writable: bool
    target: str | None = None
    children: dict[str, _Draft] | None = field(default_factory=dict)
    more: int = 0

    def node(self, name: str, path: str) -> RootNode:
        inside = None
        if self.children is not None:
            below = path.rstrip("/")
            inside = tuple(self.children[key].node(key, f"{below}/{key}") for key in sorted(self.children))
        return RootNode(
            name, path, self.kind, self.origin, self.asked_for_by, self.writable, self.target, inside, self.more
        )


class _Grown:
    """Collects nodes by path; parents that nothing else explains are made on the way."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.top = _Draft("directory", "root/ of the bundle, the root file system", "sandbox", False)

    def grown(self) -> RootNode:
        return self.top.node("/", "/")

    def put(self, path: str, draft: _Draft) -> None:
        """Set the node at ``path``; what is below one that is there already stays."""
        at = self.top
        *above, last = [part for part in path.split("/") if part] or [""]
        done = ""
        for part in above:
            done += f"/{part}"
            at.children = at.children if at.children is not None else {}
            known = at.children.get(part)
            at = known if known is not None else at.children.setdefault(part, self._parent(done))
        if not last:
            return
        at.children = at.children if at.children is not None else {}
        known = at.children.get(last)
        if known is not None and draft.children is not None:
            draft.children = {**(known.children or {}), **draft.children}
        at.children[last] = draft

    def _parent(self, path: str) -> _Draft:
        place = self.layout.holding(path)
        return _Draft("directory", "made for what is below it", "runtime", _writes(place))

    def made(self, made: Made, path: str, where: Literal["root", "scratch"]) -> None:
        if self.layout.holding(path).where != where:
            return
        home = "root/ of the bundle" if where == "root" else "the scratch directory"
        asked = {
            "additional file": f"additional_files[{path[1:]!r}]",
            "symlink input": f"inputs[{path.rpartition('/')[2]!r}]",
            "working_dir": "working_dir",
        }.get(made.why, "sandbox")
        origin = {
            "additional file": f"additional file in {home}, {len(made.contents)} bytes",
            "symlink input": f"symlink input, made in {home}",
            "etc": f"made for the sandbox in {home}",
            "parent": f"in {home}, made for what is below it",
            "mount point": f"mount point in {home}",
            "working_dir": f"the working directory, made in {home}",
        }.get(made.why, home)
        target = made.contents.decode("utf-8", "surrogateescape") if made.kind == "symlink" else None
        self.put(path, _Draft(made.kind, origin, asked, where == "scratch", target))

    def mount(self, mount: PlannedMount, path: str) -> None:
        origin = {
            "scratch": "scratch directory of the bundle, bound here",
            "input": f"input {mount.mount.source.partition('/')[2]!r}, from the store",
            "ro_path": f"{mount.mount.source} of the host",
            "shell": f"{mount.mount.source} of the host, the sandbox's shell",
            "network": f"{mount.mount.source} of the host, for the network",
        }.get(mount.kind) or _own(mount)
        known = mount.kind in ("scratch", "input", "sandbox") or mount.point == "file"
        children: dict[str, _Draft] | None = {} if known else None
        self.put(path, _Draft(mount.point, origin, mount.asked_for_by, takes_writes(mount.mount), None, children))

    def contents(self, mount: PlannedMount, path: str, lookup: Lookup | None) -> None:
        if not isinstance(mount.node, DirectoryNode):
            return
        directory: Directory | None = lookup(mount.node.digest) if lookup is not None else None
        at = self._at(path)
        if directory is None:
            at.children = at.children or None
            return
        for number, (name, node) in enumerate(directory.entries.items()):
            if number == MAX_ENTRIES:
                at.more = len(directory.entries) - MAX_ENTRIES
                break
            self.put(f"{path}/{name.decode('utf-8', 'surrogateescape')}", _entry(node, mount))

    def _at(self, path: str) -> _Draft:
        at = self.top
        for part in (part for part in path.split("/") if part):
            assert at.children is not None
            at = at.children[part]
        return at

    def devices(self, options: SpecOptions) -> None:
        place = self.layout.holding("/dev")
        if place.where != "tmpfs" or place.path != "/dev":
            return
        for name in DEFAULT_DEVICES:
            if name != "console" or options.terminal:
                self.put(f"/dev/{name}", _Draft("device", "default device of the host", "runtime", True))
        for name, target in {**_LINKS, "ptmx": "pts/ptmx"}.items():
            self.put(f"/dev/{name}", _Draft("symlink", "link made by the runtime", "runtime", True, target))

    def protected(self, options: SpecOptions) -> None:
        for paths, why in ((options.readonly_paths, "read-only path"), (options.masked_paths, "masked path: empty")):
            for path in paths:
                if self.layout.holding(path).where in ("kernel", "tmpfs"):
                    self.put(path, _Draft("any", f"{why}, where the kernel has it", "sandbox", False, None, None))


def _own(mount: PlannedMount) -> str:
    fresh = {
        "proc": "the kernel's process information",
        "tmpfs": "a tmpfs, empty at the start",
        "devpts": "pseudo-terminals of its own",
        "mqueue": "POSIX message queues",
        "sysfs": "the kernel's view of devices",
        "cgroup": "cgroups",
    }
    return fresh.get(mount.mount.type) or f"{mount.mount.source} of the host"


def _entry(node: Node, mount: PlannedMount) -> _Draft:
    origin, asked = f"in input {mount.mount.source.partition('/')[2]!r}", mount.asked_for_by
    match node:
        case DirectoryNode():
            return _Draft("directory", origin, asked, False, None, None if node.entry_count else {})
        case FileNode():
            return _Draft("file", origin, asked, False)
        case SymlinkNode():
            return _Draft("symlink", origin, asked, False, node.target.decode("utf-8", "surrogateescape"))


def _writes(place: Place) -> bool:
    return place.mount is not None and takes_writes(place.mount.mount)
