"""What a mount table's view shows, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from tvixbuild_nb.oci import MountRow, MountTable, RootNode, SeenMount, option_meaning
from tvixbuild_nb.oci.mountdrawing import FOLDED
from tvixbuild_nb.widgets.kit import visible

Row = dict[str, Any]
TREE_ROWS = 2000

_SORTS: dict[str, Callable[[Row], Any]] = {
    "order": lambda row: row["order"],
    "destination": lambda row: row["destination"],
    "type": lambda row: row["type"],
    "source": lambda row: row["host"] or row["source"],
    "options": lambda row: [option["text"] for option in row["options"]],
    "asked for by": lambda row: row["asked_for_by"],
    "writable": lambda row: not row["writable"],
    "input": lambda row: (row["size"] is None, row["size"] or 0),
    "seen": lambda row: (not row["differs"], row["seen"] is None),
}
_KINDS: dict[str, Callable[[Row], bool]] = {
    "all": lambda row: True,
    "writable": lambda row: bool(row["writable"]),
    "read-only": lambda row: not row["writable"],
    "inputs": lambda row: row["asked_for_by"].startswith("inputs["),
    "hidden or hiding": lambda row: bool(row["shadowed_by"] or row["shadows"]),
    "not as asked": lambda row: bool(row["differs"]),
}
KINDS = tuple(_KINDS)


def mounts_data(table: MountTable) -> list[Row]:
    """One dict per mount in mount order; every text is safe to look at."""
    return [_row(order, row) for order, row in enumerate(table, 1)]


def columns(rows: Sequence[Row], *, observed: bool) -> list[str]:
    """The columns in which anything stands, by the names of their orders."""
    names = ["order", "destination", "type", "source", "options", "asked for by", "writable"]
    if any(row["digest"] is not None for row in rows):
        names.append("input")
    return [*names, "seen"] if observed else names


def _row(order: int, row: MountRow) -> Row:
    return {
        "order": order,
        "destination": visible(row.destination),
        "type": visible(row.type),
        "source": visible(row.source),
        "host": None if row.host_source is None else visible(row.host_source),
        "options": options_data(row.options, row.type),
        "asked_for_by": visible(row.asked_for_by),
        "writable": row.writable,
        "digest": row.digest,
        "size": row.size,
        "kind": row.kind,
        "shadows": [visible(path) for path in row.shadows],
        "shadowed_by": None if row.shadowed_by is None else visible(row.shadowed_by),
        "mounted_at": None if row.mounted_at is None else visible(row.mounted_at),
        "seen": None if row.seen is None else seen_data(row.seen),
        "differs": [visible(text) for text in row.differs],
    }


def options_data(options: Sequence[str], kind: str) -> list[dict[str, str | None]]:
    """Each option and what it means, None where that is not known."""
    return [{"text": visible(option), "meaning": _meaning(option, kind)} for option in options]


def _meaning(option: str, kind: str) -> str | None:
    meaning = option_meaning(option, kind)
    return None if meaning is None else visible(meaning)


def seen_data(seen: SeenMount) -> Row:
    """A mount as the kernel had it."""
    owner = None if seen.uid is None else f"{seen.uid}:{seen.gid}"
    return {
        "destination": visible(seen.destination),
        "type": visible(seen.type),
        "source": visible(seen.source),
        "root": visible(seen.root),
        "options": options_data(seen.options, seen.type),
        "super_options": [visible(option) for option in seen.super_options],
        "mode": None if seen.mode is None else f"{seen.mode:04o}",
        "owner": owner,
        "error": None if seen.error is None else visible(seen.error),
        "writable": seen.writable,
    }


def unplanned_data(table: MountTable) -> list[Row]:
    """The mounts that nobody asked for, each with why it is there."""
    return [{**seen_data(mount.seen), "why": visible(mount.why)} for mount in table.unplanned]


def select(rows: Sequence[Row], *, by: str, descending: bool, find: str, kind: str) -> list[Row]:
    """The rows of a ``kind`` that hold every word of ``find``, sorted; KeyError for an unknown order or kind."""
    words = find.casefold().split()
    of_kind = _KINDS[kind]
    chosen = [row for row in rows if of_kind(row) and all(word in _haystack(row) for word in words)]
    return sorted(chosen, key=_SORTS[by], reverse=descending)


def _haystack(row: Row) -> str:
    texts = [
        row["destination"],
        row["type"],
        row["source"],
        row["host"] or "",
        row["asked_for_by"],
        row["digest"] or "",
    ]
    texts += [option["text"] for option in row["options"]]
    return "\n".join([*texts, *row["differs"]]).casefold()


def default_open(root: RootNode) -> list[int]:
    """The nodes (numbers in walking order) that are open at first: all but the kernel's places and inputs."""
    return [
        number
        for number, (_, node) in enumerate(root.walk())
        if node.children
        and not any(node.path == path or node.path.startswith(f"{path}/") for path in FOLDED)
        and not node.asked_for_by.startswith("inputs[")
    ]


def tree_rows(root: RootNode, opened: Collection[int], limit: int = TREE_ROWS) -> tuple[list[Row], int]:
    """The rows of the tree with the nodes ``opened``, and how many more there would be above ``limit``."""
    shown: list[Row] = []
    more = 0
    # Below a closed node nothing is shown: its depth is remembered until the walk is back at it.
    closed: int | None = None
    for number, (depth, node) in enumerate(root.walk()):
        if closed is not None and depth > closed:
            continue
        closed = None if number in opened else depth
        if len(shown) >= limit:
            more += 1
            continue
        shown.append(_tree_row(number, depth, node, number in opened))
    return shown, more


def _tree_row(number: int, depth: int, node: RootNode, opened: bool) -> Row:
    return {
        "number": number,
        "level": depth + 1,
        "name": visible(node.name),
        "path": visible(node.path),
        "kind": node.kind,
        "origin": visible(node.origin),
        "asked_for_by": visible(node.asked_for_by),
        "writable": node.writable,
        "target": None if node.target is None else visible(node.target),
        "folds": bool(node.children),
        "open": opened and bool(node.children),
        "unknown": node.children is None,
        "more": node.more,
    }
