"""MountTable: the mounts of a sandbox as a value to look at, in the order in which they are made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from tvixbuild_nb.castore.nodes import DirectoryNode, FileNode, Node
from tvixbuild_nb.display import mimebundle, plain, register
from tvixbuild_nb.oci.layout import ancestors
from tvixbuild_nb.oci.mounts import PlannedMount, planned_mounts, symlink_inputs
from tvixbuild_nb.oci.options import SpecOptions
from tvixbuild_nb.request import BuildRequest

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS: tuple[str, ...] = ("destination", "type", "source", "options", "asked for by", "note")


@dataclass(frozen=True, slots=True)
class MountRow:
    """One mount, or a symlink input (type ``symlink``, its target as source).

    ``source`` as in config.json; ``host_source`` the absolute path on the host (None when there is
    none, or the bundle's path is not known); ``digest`` (hex) and ``size`` (bytes of a file, entries
    below a directory) of an input; ``shadows`` the destinations hidden by this mount, ``shadowed_by``
    the one that hides it.
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
    shadows: tuple[str, ...] = ()
    shadowed_by: str | None = None


@dataclass(frozen=True, slots=True)
class MountTable(Sequence[MountRow]):
    """The rows in mount order; shows itself as a table wherever it is shown."""

    rows: tuple[MountRow, ...]

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

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows as JSON data."""
        return [asdict(row) for row in self.rows]

    def __str__(self) -> str:
        lines = [COLUMNS, *(_cells(row) for row in self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
        return "\n".join(line.rstrip() for line in shown)

    def __rich__(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(title="mounts, in order")
        for name in COLUMNS:
            table.add_column(name, overflow="fold")
        for row in self.rows:
            style = "dim" if row.shadowed_by else "green" if row.writable else ""
            table.add_row(*(Text(cell) for cell in _cells(row)), style=style)
        return table

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


def mount_table(request: BuildRequest, options: SpecOptions, bundle: str | Path | None = None) -> MountTable:
    """The mounts of ``request``, purely; with ``bundle`` the sources below it are shown as host paths."""
    planned = planned_mounts(request, options)
    shadows, shadowed_by = _shadows(planned)
    rows = [
        _row(mount, bundle, tuple(shadows.get(position, ())), shadowed_by.get(position))
        for position, mount in enumerate(planned)
    ]
    for path, node in symlink_inputs(request, options).items():
        name = path.rpartition("/")[2]
        target = node.target.decode("utf-8", "backslashreplace")
        rows.append(MountRow(path, "symlink", target, None, (), f"inputs[{name!r}]", False))
    return MountTable(tuple(rows))


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
    planned: PlannedMount, bundle: str | Path | None, shadows: tuple[str, ...], shadowed_by: str | None
) -> MountRow:
    mount, options = planned.mount, planned.mount.options or ()
    digest, size = _content(planned.node)
    return MountRow(
        destination=mount.destination,
        type=mount.type,
        source=mount.source,
        host_source=_host_source(mount.type, mount.source, bundle),
        options=options,
        asked_for_by=planned.asked_for_by,
        writable=mount.type in ("none", "tmpfs", "mqueue", "devpts") and not {"ro", "rro"} & set(options),
        digest=digest,
        size=size,
        shadows=shadows,
        shadowed_by=shadowed_by,
    )


def _content(node: Node | None) -> tuple[str | None, int | None]:
    match node:
        case DirectoryNode():
            return str(node.digest), node.entry_count
        case FileNode():
            return str(node.digest), node.size
        case _:
            return None, None


def _host_source(kind: str, source: str, bundle: str | Path | None) -> str | None:
    if kind != "none":
        return None
    if source.startswith("/"):
        return source
    return None if bundle is None else str(Path(bundle) / source)


def _cells(row: MountRow) -> tuple[str, ...]:
    note = []
    if row.writable:
        note.append("writable")
    if row.shadowed_by:
        note.append(f"hidden by {row.shadowed_by}")
    if row.shadows:
        note.append("hides " + ", ".join(row.shadows))
    if row.digest:
        note.append(row.digest[:12])
    source = row.host_source or row.source
    cells = (row.destination, row.type, source, ",".join(row.options), row.asked_for_by, "; ".join(note))
    return tuple(cell.encode("utf-8", "backslashreplace").decode().replace("\n", "\\n") for cell in cells)


register(MountTable, plain)
