"""MountTable: the mounts of a sandbox as a value to look at, in the order in which they are made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from tvixbuild_nb.castore.nodes import DirectoryNode, FileNode, Node
from tvixbuild_nb.display import mimebundle, plain, register
from tvixbuild_nb.errors import InvalidSpec
from tvixbuild_nb.oci.layout import Layout, Lookup, ancestors
from tvixbuild_nb.oci.mountdrawing import cells, draw_mounts
from tvixbuild_nb.oci.mounts import PlannedMount, planned_mounts, symlink_inputs, takes_writes
from tvixbuild_nb.oci.options import SpecOptions
from tvixbuild_nb.oci.rootview import RootNode, root_of
from tvixbuild_nb.oci.seen import SeenMount, UnplannedMount, differences, pair, why_unplanned
from tvixbuild_nb.oci.spec import Spec
from tvixbuild_nb.request import BuildRequest

if TYPE_CHECKING:
    from rich.console import Group

COLUMNS: tuple[str, ...] = ("destination", "type", "source", "options", "asked for by", "note")


@dataclass(frozen=True, slots=True)
class MountRow:
    """One mount, or a symlink input (type ``symlink``, its target as source).

    ``source`` as in config.json; ``host_source`` the absolute path on the host (None when there is
    none, or the bundle's path is not known); ``digest`` (hex) and ``size`` (bytes of a file, entries
    below a directory, see ``kind``) of an input; ``shadows`` the destinations hidden by this mount, ``shadowed_by``
    the one that hides it; ``mounted_at`` where it ends up when symlinks lead elsewhere. After an observed run
    ``seen`` is the mount as the process had it, ``differs`` what was asked for and is not in force.
    """

    destination: str
    type: str
    source: str
    host_source: str | None
    options: tuple[str, ...]
    asked_for_by: str
    writable: bool
    digest: str | None = None
    size: int | None = None
    kind: Literal["directory", "file"] | None = None
    shadows: tuple[str, ...] = ()
    shadowed_by: str | None = None
    mounted_at: str | None = None
    seen: SeenMount | None = None
    differs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MountTable(Sequence[MountRow]):
    """The rows in mount order; shows itself as a table wherever it is shown.

    ``root``: the resulting tree of ``/``, or None when no bundle can hold the request (``refused`` says why);
    ``observed``: whether the rows have what was seen beside them, and ``unplanned`` the mounts nobody asked for;
    ``note``: a line that stands above it.
    """

    rows: tuple[MountRow, ...]
    root: RootNode | None = None
    refused: str | None = None
    observed: bool = False
    unplanned: tuple[UnplannedMount, ...] = ()
    note: str | None = None

    @overload
    def __getitem__(self, index: int) -> MountRow: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[MountRow, ...]: ...
    def __getitem__(self, index: int | slice) -> MountRow | tuple[MountRow, ...]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[MountRow]:
        return iter(self.rows)

    def at(self, destination: str) -> MountRow | None:
        """The topmost mount at exactly ``destination``, or None."""
        return next((row for row in reversed(self.rows) if row.destination == destination), None)

    def beside(self, seen: Sequence[SeenMount], spec: Spec) -> MountTable:
        """The same table with what the process had in force: ``seen`` in the kernel's order, ``spec`` what was run."""
        places = [row.mounted_at or row.destination for row in self.rows]
        mounts = [position for position, row in enumerate(self.rows) if row.type != "symlink"]
        found = pair([places[position] for position in mounts], seen)
        rows = list(self.rows)
        planned = [(places[position], rows[position].type, rows[position].options) for position in mounts]
        taken = set(found.values())
        unplanned = [mount for number, mount in enumerate(seen) if number not in taken]
        for number, position in enumerate(mounts):
            row = rows[position]
            if number not in found:
                rows[position] = replace(row, differs=("asked for, not there",))
                continue
            mount = seen[found[number]]
            if row.shadowed_by is not None:
                mount = replace(mount, mode=None, uid=None, gid=None)
            below = [other for other in unplanned if other.destination.startswith(f"{mount.destination}/")]
            rows[position] = replace(row, seen=mount, differs=differences(row.type, row.options, mount, below))
        masked, readonly = spec.linux.masked_paths, spec.linux.readonly_paths
        reasons = [UnplannedMount(mount, why_unplanned(mount, planned, masked, readonly)) for mount in unplanned]
        return replace(self, rows=tuple(rows), observed=True, unplanned=tuple(reasons))

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows as JSON data."""
        return [asdict(row) for row in self.rows]

    def __str__(self) -> str:
        lines = [COLUMNS, *(cells(row) for row in self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
        above = [] if self.note is None else [self.note]
        return "\n".join([*above, *(line.rstrip() for line in shown)])

    def noted(self, note: str) -> MountTable:
        """The same table with this line above it."""
        return replace(self, note=note)

    def __rich__(self) -> Group:
        return draw_mounts(self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


def mount_table(
    request: BuildRequest, options: SpecOptions, bundle: str | Path | None = None, *, lookup: Lookup | None = None
) -> MountTable:
    """The mounts of ``request``, purely; with ``bundle`` the sources below it are shown as host paths.

    ``lookup`` (``castore.directories.get``) lets the tree of ``/`` show the first level of each input.
    """
    planned = planned_mounts(request, options)
    shadows, shadowed_by = _shadows(planned)
    root, refused, points = None, None, [mount.destination for mount in planned]
    try:
        layout = Layout(request, options, lookup)
        points = [place.path for place in layout.points]
        root = root_of(layout, lookup)
    except InvalidSpec as error:
        refused = str(error)
    rows = [
        _row(mount, bundle, tuple(shadows.get(position, ())), shadowed_by.get(position), points[position])
        for position, mount in enumerate(planned)
    ]
    for path, node in symlink_inputs(request, options).items():
        name = path.rpartition("/")[2]
        target = node.target.decode("utf-8", "backslashreplace")
        rows.append(MountRow(path, "symlink", target, None, (), f"inputs[{name!r}]", False))
    return MountTable(tuple(rows), root, refused)


def _shadows(planned: Sequence[PlannedMount]) -> tuple[dict[int, list[str]], dict[int, str]]:
    """By position: what a mount hides, and the first later one that hides it."""
    at: dict[str, list[int]] = {}
    for position, mount in enumerate(planned):
        at.setdefault(mount.destination, []).append(position)
    shadows: dict[int, list[str]] = {}
    shadowed_by: dict[int, str] = {}
    for position, mount in enumerate(planned):
        above = sorted(later for path in ancestors(mount.destination) for later in at.get(path, ()) if later > position)
        for later in above:
            shadows.setdefault(later, []).append(mount.destination)
        if above:
            shadowed_by[position] = planned[above[0]].destination
    return shadows, shadowed_by


def _row(
    planned: PlannedMount,
    bundle: str | Path | None,
    shadows: tuple[str, ...],
    shadowed_by: str | None,
    point: str,
) -> MountRow:
    mount, options = planned.mount, planned.mount.options or ()
    digest, size, kind = _content(planned.node)
    return MountRow(
        destination=mount.destination,
        type=mount.type,
        source=mount.source,
        host_source=_host_source(mount.type, mount.source, bundle),
        options=options,
        asked_for_by=planned.asked_for_by,
        writable=takes_writes(mount),
        digest=digest,
        size=size,
        kind=kind,
        shadows=shadows,
        shadowed_by=shadowed_by,
        mounted_at=None if point == mount.destination else point,
    )


def _content(node: Node | None) -> tuple[str | None, int | None, Literal["directory", "file"] | None]:
    match node:
        case DirectoryNode():
            return str(node.digest), node.entry_count, "directory"
        case FileNode():
            return str(node.digest), node.size, "file"
        case _:
            return None, None, None


def _host_source(kind: str, source: str, bundle: str | Path | None) -> str | None:
    if kind != "none":
        return None
    if source.startswith("/"):
        return source
    return None if bundle is None else str(Path(bundle) / source)


register(MountTable, plain)
