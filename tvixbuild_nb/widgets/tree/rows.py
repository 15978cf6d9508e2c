"""What a tree's view shows, as plain data: a page of rows at a time, every text safe to look at."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.castore import DirectoryNode, FileNode, SymlinkNode
from tvixbuild_nb.errors import TvixBuildError
from tvixbuild_nb.widgets.tree.orders import STORED
from tvixbuild_nb.widgets.tree.places import Place, Places
from tvixbuild_nb.widgets.tree.roots import shortened

PAGE = 50
MAX_TARGET = 200
DIGEST_SHOWN = 12
_KINDS = {DirectoryNode: "directory", FileNode: "file", SymlinkNode: "symlink"}


def row_data(place: Place) -> dict[str, Any]:
    """One row. What does not apply is left out: a page of rows is to be small."""
    node, root = place.shown, place.root
    row: dict[str, Any] = {"name": root.shown(place.name), "kind": _KINDS[type(node)]}
    if isinstance(node, DirectoryNode):
        row["entries"] = node.entry_count
    elif isinstance(node, FileNode):
        row["size"] = node.size
        if node.executable:
            row["executable"] = True
    else:
        row["target"] = shortened(root.shown(node.target), MAX_TARGET)
    if not isinstance(node, SymlinkNode):
        row["digest"] = node.digest.hex()[:DIGEST_SHOWN]
    if place.is_directory and not isinstance(node, DirectoryNode):
        row["folder"] = True  # it was one, and still has entries to show
    if place.change not in (None, "same"):
        row["change"] = place.change
    needles = needle_names(place)
    if needles:
        row["needles"] = needles
    if root.touched is not None:
        row["used"] = root.touched.at(place.path) or ""
    return row


def needle_names(place: Place) -> list[str] | None:
    """The needles an entry holds, as far as that is known without looking: None is not known yet."""
    root = place.root
    if root.finder is None:
        return None
    if not place.path and not root.above and place.node is not None:
        return root.needle_names(range(len(root.needles)))  # what the ingest found in all of it
    found = root.finder.known(place.shown)
    return None if found is None else root.needle_names(found)


def page_data(places: Places, place: Place, start: int, order: str = STORED) -> dict[str, Any]:
    """A page of a directory's rows from ``start``, and how many there are; ``n``: the position of a sorted one."""
    rows = []
    for entry in places.page(place, start, start + PAGE, order):
        rows.append(row_data(entry) if order == STORED else {**row_data(entry), "n": entry.at[-1]})
    return {"count": places.count(place), "start": start, "rows": rows}


def first_data(places: Places, order: str = STORED) -> dict[str, Any]:
    """What is painted first: the roots, and the first page of the first one's entries."""
    top = places.top()
    first: dict[str, Any] = {"count": len(top), "start": 0, "rows": [row_data(place) for place in top[:PAGE]]}
    if top and top[0].is_directory:
        try:
            first["open"] = page_data(places, top[0], 0, order)
        except (TvixBuildError, OSError) as error:
            first["problem"] = top[0].root.shown(str(error))
    return first
