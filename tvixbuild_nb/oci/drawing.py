"""Configurations as rich trees, harmless to terminals."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tvixbuild_nb.oci.explanation import Explanation, pointer

if TYPE_CHECKING:
    from rich.tree import Tree

# How a member of a list is called: by the first of these keys it has.
NAMING = ("destination", "type", "containerID")


def one_line(text: str) -> str:
    """``text`` with whatever cannot be seen, or moves other text, as an escape."""
    return text if text.isprintable() else text.encode("unicode_escape", "backslashreplace").decode()


def compact(value: Any) -> str:
    """A value as JSON that reads well: characters of other scripts stay, what cannot be seen is escaped."""
    return one_line(json.dumps(value, ensure_ascii=False))


def title(value: Any) -> str | None:
    """What a member of a list is called, or None when nothing names it."""
    if isinstance(value, Mapping):
        return next((str(value[key]) for key in NAMING if key in value), None)
    return None


def draw_config(tree: Tree, config: Mapping[str, Any], marks: Mapping[str, Sequence[str]]) -> Tree:
    """Add a configuration to ``tree``, folding lists of texts into one line; ``marks``: JSON pointer -> notes."""

    def note(path: str) -> str:
        below = [mark for at, names in marks.items() if at == path or at.startswith(f"{path}/") for mark in names]
        return "; ".join(dict.fromkeys(below))

    _draw(tree, config, "", note, None)
    return tree


def draw_explained(
    tree: Tree, config: Mapping[str, Any], explanations: Mapping[str, Explanation], marks: Mapping[str, Sequence[str]]
) -> Tree:
    """Add a configuration to ``tree`` with what is to be said about each part; ``marks``: JSON pointer -> notes."""
    _draw(tree, config, "", lambda path: "; ".join(marks.get(path, ())), explanations)
    return tree


def _draw(
    tree: Tree, value: Any, path: str, note: Callable[[str], str], explanations: Mapping[str, Explanation] | None
) -> None:
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, item in items:
        at = path + pointer(key)
        nested = isinstance(item, Mapping | list) and bool(item)
        folded = isinstance(item, list) and all(isinstance(each, str) for each in item) and explanations is None
        name = title(item) or f"[{key}]" if isinstance(key, int) else key
        shown = "" if nested and not folded else compact(item)
        branch = tree.add(_label(name, shown, note(at), None if explanations is None else explanations[at]))
        if nested and not folded:
            _draw(branch, item, at, note, explanations)


def _label(name: str, shown: str, note: str, explanation: Explanation | None) -> Any:
    from rich.text import Text

    label = Text.assemble((one_line(name), "bold"))
    if shown:
        label.append(f": {shown}", style="green")
    if note:
        label.append(f"  not as Tvix: {one_line(note)}", style="yellow")
    if explanation is not None:
        label.append(f"\n{one_line(explanation.what)}")
        asked = f"asked for by: {explanation.asked_by} · {explanation.reference}"
        label.append(f"\n{one_line(asked)}", style="dim")
        label.append(f"\nwithout: {one_line(explanation.without)}", style="dim")
    return label
