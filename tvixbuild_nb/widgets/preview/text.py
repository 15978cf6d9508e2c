"""A preview in a terminal: the tree, then why it is not as Tvix renders it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvixbuild_nb.oci.drawing import draw_config
from tvixbuild_nb.widgets.preview.data import Shown, deviation_rows, validity_data

if TYPE_CHECKING:
    from rich.console import RenderableType


def preview_text(shown: Shown) -> RenderableType:
    """The configuration as a tree, lists of texts in one line; below it the deviations."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text
    from rich.tree import Tree

    tree = draw_config(Tree(Text(f"config.json: {validity_data(shown.validity)['text']}")), shown.config, shown.marks)
    if not shown.deviations:
        return tree
    table = Table(title="not as Tvix renders it")
    for name in ("what", "Tvix", "here", "why"):
        table.add_column(name, overflow="fold")
    for row in deviation_rows(shown):
        table.add_row(*(Text(row[name]) for name in ("name", "tvix", "ours", "reason")))
    return Group(tree, table)
