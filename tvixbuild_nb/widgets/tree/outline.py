"""The first entries of a tree, level by level: what forms without a kernel show."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tvixbuild_nb.errors import TvixBuildError
from tvixbuild_nb.widgets.kit import visible
from tvixbuild_nb.widgets.tree.data import Place, Places, row_data


@dataclass(slots=True)
class Outline:
    """One entry and those of its own that are shown. ``hidden``: entries of it that are not; None: nobody counted."""

    row: dict[str, Any]
    below: list[Outline] = field(default_factory=list)
    hidden: int | None = 0
    problem: str | None = None


@dataclass(slots=True)
class Excerpt:
    """The roots, how many entries below them are shown, and how many not: None where only a walk could tell."""

    roots: list[Outline]
    shown: int
    hidden: int | None


def excerpt(places: Places, limit: int) -> Excerpt:
    """The first ``limit`` entries, upper levels first; reads no directory of which nothing is shown."""
    top = places.top()
    roots = [Outline(row_data(place)) for place in top]
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
        except TvixBuildError as error:
            outline.problem = visible(str(error))
            continue
        outline.below = [Outline(row_data(entry)) for entry in entries]
        rest -= len(entries)
        todo.extend(zip(entries, outline.below, strict=True))
    shown = limit - rest
    compared = any(root.compared for root in places.roots)
    below = sum(outline.row.get("entries", 0) for outline in roots)
    if compared:
        return Excerpt(roots, shown, 0 if rest > 0 else None)
    return Excerpt(roots, shown, below - shown)


def walk(outlines: list[Outline], depth: int = 0) -> Iterator[tuple[int, Outline]]:
    """Every entry shown with its depth, as it is read from top to bottom."""
    todo = [(depth, outline) for outline in reversed(outlines)]
    while todo:
        depth, outline = todo.pop()
        yield depth, outline
        todo.extend((depth + 1, below) for below in reversed(outline.below))


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
    words += [row["used"]] if "used" in row else []
    words += [f"holds {', '.join(row['needles'])}"] if "needles" in row else []
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
