"""A preview in a terminal: the tree, then why it is not as Tvix renders it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvixbuild_nb.oci.drawing import draw_config
from tvixbuild_nb.oci.records import Records
from tvixbuild_nb.widgets.preview.data import Shown, deviation_rows, validity_data

if TYPE_CHECKING:
    from rich.console import RenderableType


def preview_text(shown: Shown) -> RenderableType:
    """The configuration as a tree, lists of texts in one line; below it the deviations."""
    from rich.console import Group
    from rich.text import Text
    from rich.tree import Tree

    tree = draw_config(Tree(Text(f"config.json: {validity_data(shown.validity)['text']}")), shown.config, shown.marks)
    if not shown.deviations:
        return tree
    rows = [
        tuple(row[name] for name in ("name", "tvix", "ours", "reason", "asked_by")) for row in deviation_rows(shown)
    ]
    return Group(tree, Records("not as Tvix renders it", ("what", "Tvix", "here", "why", "whose choice"), rows))
