"""The first entries of a tree, level by level: what forms without a kernel show."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from tvixbuild_nb.errors import TvixBuildError
from tvixbuild_nb.widgets.tree.content import preview
from tvixbuild_nb.widgets.tree.places import Place, Places
from tvixbuild_nb.widgets.tree.rows import row_data

# Roots that are files show how they begin: so many of them, characters and lines.
MAX_EXCERPTS = 5
MAX_CONTENTS = 2_000
MAX_LINES = 20
MAX_MISSING = 10


@dataclass(slots=True)
class Outline:
    """One entry and those of its own that are shown. ``hidden``: entries of it that are not; None: nobody counted.

    ``contents``: the beginning of a root that is a text; ``missing``: names a build looked for here in vain.
    """

    row: dict[str, Any]
    below: list[Outline] = field(default_factory=list)
    hidden: int | None = 0
    problem: str | None = None
    contents: str | None = None
    missing: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Excerpt:
    """The roots, how many entries below them are shown, and how many not: None where only a walk could tell.

    ``comparison``: see :attr:`Places.comparison`.
    """

    roots: list[Outline]
    shown: int
    hidden: int | None
    comparison: str = ""


def excerpt(places: Places, limit: int) -> Excerpt:
    """The first ``limit`` entries, upper levels first; reads no directory of which nothing is shown."""
    top = places.top()
    roots = [_outline(place) for place in top]
    for place, outline in zip(top[:MAX_EXCERPTS], roots, strict=False):
        if not place.is_directory:
            outline.contents = _beginning(place)
    todo: deque[tuple[Place, Outline]] = deque(zip(top, roots, strict=True))
    rest = limit
    while todo:
        place, outline = todo.popleft()
        if not place.is_directory:
            continue
        if rest <= 0:
            # How many of them differ is not known without reading them.
            outline.hidden = None if place.root.compared else outline.row["entries"]
            continue
        try:
            entries = places.page(place, 0, rest)
            outline.hidden = places.count(place) - len(entries)
        except (TvixBuildError, OSError) as error:
            outline.problem = place.root.shown(str(error))
            continue
        outline.below = [_outline(entry) for entry in entries]
        rest -= len(entries)
        todo.extend(zip(entries, outline.below, strict=True))
    shown = limit - rest
    below = sum(outline.row.get("entries", 0) for outline in roots)
    if any(place.change not in (None, "same") for place in top):
        return Excerpt(roots, shown, 0 if rest > 0 else None, places.comparison)
    return Excerpt(roots, shown, below - shown, places.comparison)


def _outline(place: Place) -> Outline:
    touched = place.root.touched
    missing = touched.missing(place.path)[:MAX_MISSING] if touched is not None and place.is_directory else []
    return Outline(row_data(place), missing=missing)


def _beginning(place: Place) -> str | None:
    """The first lines of a file that is text; None for what is not, or cannot be read."""
    try:
        shown, _ = preview(place)
    except (TvixBuildError, OSError) as error:
        return place.root.shown(str(error))
    text: str | None = shown.get("text")
    if text is None:
        return None
    lines = text[:MAX_CONTENTS].split("\n")[:MAX_LINES]
    cut = len("\n".join(lines)) < len(text) or shown["shown"] < shown["size"]
    return "\n".join(lines) + ("\n…" if cut else "")


def is_folder(row: dict[str, Any]) -> bool:
    """Whether a row has entries of its own to show."""
    return row["kind"] == "directory" or "folder" in row


def describe(row: dict[str, Any]) -> str:
    """A row's facts beside its name, in words."""
    words = []
    if "entries" in row:
        words.append(f"{row['entries']} {'entry' if row['entries'] == 1 else 'entries'}")
    if "size" in row:
        words.append(human_bytes(row["size"]))
    if row.get("executable"):
        words.append("executable")
    words += [row["used"] or "not used"] if "used" in row else []
    if "needles" in row:
        words.append(f"holds {', '.join(row['needles'])}{' below' if is_folder(row) else ''}")
    words += [row["digest"]] if row.get("digest") else []
    return " · ".join(words)


def human_bytes(count: float) -> str:
    """Bytes for people, decimal units: 1.5 MB."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        count /= 1000
        if count < 1000 or unit == "TB":
            break
    return f"{count:.1f} {unit}"
