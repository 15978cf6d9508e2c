"""An :class:`Isolation` as text: the same sections for a plain ``print`` and for rich tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from tvixbuild_nb.build.isolation import OVERFLOW_ID, Isolation, NamespaceRow, PathRow
from tvixbuild_nb.oci.records import Records
from tvixbuild_nb.oci.shown import shown

if TYPE_CHECKING:
    from rich.console import Group

NOBODY = "nobody: whatever has no map, such as the files of the host's root"
NO_USER_NAMESPACE = "no user namespace: every id is the host's"


class Section(NamedTuple):
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def sections(value: Isolation) -> Iterator[Section]:
    """What there is to say, section by section, as rows of text."""
    aspects = tuple((row.name, row.host, row.inside, row.note) for row in value.aspects)
    yield Section("one process, two sides", ("", "from the host", "from inside", "note"), aspects)
    spaces = tuple(
        (row.type, whose(row), row.host or "?", namespace_inside(row), row.what, row.without)
        for row in value.namespaces
    )
    columns = ("type", "whose", "the host's", "inside", "what it gives", "without it")
    yield Section("namespaces", columns, spaces)
    yield Section(
        f"ids inside and outside ({value.outside})", ("kind", "inside", "", "outside", "meaning"), _ids(value)
    )
    kept = tuple((row.name, _sets(row.sets), row.what) for row in value.capabilities if row.kept)
    yield Section("capabilities kept", ("name", "sets", "allows to"), kept)
    dropped = tuple((row.name, row.what) for row in value.capabilities if not row.kept)
    yield Section("capabilities dropped", ("name", "would allow to"), dropped)
    paths = tuple((row.path, row.kind, in_force(row), row.what) for row in value.paths)
    yield Section("masked and read-only paths", ("path", "how", "seen", "what is there"), paths)
    limits = tuple(
        (row.name, limit(row.inside), limit(row.host, ""), row.unit, row.what + (" (asked for)" if row.asked else ""))
        for row in value.limits
    )
    yield Section("limits (soft / hard)", ("name", "inside", "host", "unit", "of what"), limits)


def whose(row: NamespaceRow) -> str:
    """Whose namespace it is, in words."""
    if row.own:
        return "its own"
    return {"host": "the host's", "keeper": "the keeper's"}.get(row.shared_with or "", "shared")


def in_force(row: PathRow) -> str:
    """Whether a path's protection was seen, in words."""
    if row.in_force:
        return "in force"
    if row.exists is False:
        return "this kernel has no such path"
    return "planned" if row.in_force is None else "NOT in force"


def namespace_inside(row: NamespaceRow) -> str:
    """The number inside, or what it will be."""
    return row.inside or ("a new one" if row.own else "not its own")


def limit(pair: tuple[str, str] | None, missing: str = "inherited") -> str:
    """A limit as people read it."""
    if pair is None:
        return missing
    return pair[0] if pair[0] == pair[1] else f"{pair[0]} / {pair[1]}"


def id_range(first: int, size: int) -> str:
    """Ids from ``first`` on: ``1000`` or ``1000-1999``."""
    return str(first) if size == 1 else f"{first}-{first + size - 1}"


def _ids(value: Isolation) -> tuple[tuple[str, ...], ...]:
    rows = []
    for row in value.ids:
        outside = id_range(row.outside, row.size)
        if row.host is not None:
            outside += f" -> {id_range(row.host, row.size)} on the host"
        rows.append((row.kind, id_range(row.inside, row.size), "->", outside, row.name or ""))
    if not rows:
        return (("both", "any", "=", "the same", NO_USER_NAMESPACE),)
    return (*rows, ("both", str(OVERFLOW_ID), "<-", "every other id", NOBODY))


def _sets(sets: tuple[str, ...]) -> str:
    return "all five" if len(sets) == 5 else ", ".join(sets)


def isolation_text(value: Isolation) -> str:
    """Everything as plain text."""
    lines = [shown(value.title)]
    for section in sections(value):
        rows = [tuple(shown(cell) for cell in row) for row in section.rows]
        widths = [max(len(row[column]) for row in (section.columns, *rows)) for column in range(len(section.columns))]
        lines += ["", f"{section.title}:"]
        for row in rows:
            lines.append("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return "\n".join(lines)


def isolation_tables(value: Isolation) -> Group:
    """Everything as rich tables."""
    from rich.console import Group
    from rich.text import Text

    tables = []
    for section in sections(value):
        rows = [tuple(map(shown, row)) for row in section.rows]
        tables.append(Records(section.title, section.columns, rows))
    return Group(Text(shown(value.title)), *tables)
