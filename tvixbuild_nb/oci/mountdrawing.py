"""A mount table for terminals: a table where there is room, else one mount below the other; the tree of ``/``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tvixbuild_nb.oci.mountoptions import option_meaning
from tvixbuild_nb.oci.records import Records
from tvixbuild_nb.oci.shown import shown

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.tree import Tree

    from tvixbuild_nb.oci.rootview import RootNode
    from tvixbuild_nb.oci.seen import SeenMount
    from tvixbuild_nb.oci.table import MountRow, MountTable

# Columns of a terminal; with fewer the table would be a tower.
WIDE = 90
MOST_LINES = 200
# Places that the kernel and the runtime fill, the same in every sandbox.
FOLDED = ("/proc", "/sys", "/dev")


def draw_mounts(table: MountTable) -> Group:
    """The mounts in order, beside them what was seen; what was mounted besides; the tree of ``/``."""
    from rich.console import Group
    from rich.text import Text

    names = ["destination", "type", "source", "options", "asked for by", "note"]
    names += ["seen in the process"] if table.observed else []
    rows = [[*cells(row), *([_seen(row)] if table.observed else [])] for row in table]
    styles = ["dim" if row.shadowed_by else "green" if row.writable else "" for row in table]
    drawn: list[RenderableType] = [Records("mounts, in order", names, rows, styles, wide=WIDE)]
    drawn.append(_spelled_out(table))
    if table.unplanned:
        besides = [(shown(mount.seen.destination), _kernel(mount.seen), mount.why) for mount in table.unplanned]
        names = ["mounted besides", "seen in the process", "why"]
        drawn.append(Records("what nobody asked for", names, besides))
    if table.root is not None:
        drawn += [Text("the resulting tree of /", style="italic"), *_tree(table.root)]
    elif table.refused is not None:
        drawn.append(Text(f"no tree of /: {shown(table.refused)}"))
    return Group(*drawn)


def _spelled_out(table: MountTable) -> Records:
    """Every option that occurs, once, and what it says."""
    found = {
        (option, option_meaning(option, row.type) or "handed on as it is") for row in table for option in row.options
    }
    return Records("the options in words", ["option", "says"], [tuple(map(shown, pair)) for pair in sorted(found)])


def cells(row: MountRow) -> tuple[str, ...]:
    """A row as texts that are harmless to print."""
    note = ["writable" if row.writable else "read-only"]
    if row.mounted_at:
        note.append(f"really at {row.mounted_at}")
    if row.shadowed_by:
        note.append(f"hidden by {row.shadowed_by}")
    if row.shadows:
        note.append("hides " + ", ".join(row.shadows))
    if row.digest:
        one, many = ("byte", "bytes") if row.kind == "file" else ("entry", "entries")
        note.append(f"{row.digest[:12]}, {row.size} {one if row.size == 1 else many}")
    note += row.differs
    source = row.host_source or row.source
    return tuple(
        map(shown, (row.destination, row.type, source, ",".join(row.options), row.asked_for_by, "; ".join(note)))
    )


def _seen(row: MountRow) -> str:
    if row.seen is None:
        return "" if row.differs else "made as a symlink"
    return _kernel(row.seen)


def _kernel(seen: SeenMount) -> str:
    mode = "" if seen.mode is None else f", mode {seen.mode:04o}, owner {seen.uid}:{seen.gid}"
    return shown(f"{seen.type} {','.join(seen.options)}{mode}")


def _tree(root: RootNode) -> Iterator[RenderableType]:
    from rich.text import Text
    from rich.tree import Tree

    left = [MOST_LINES]
    drawn = Tree(_label(root))
    _grow(drawn, root, left)
    yield drawn
    if left[0] < 0:
        yield Text(f"{-left[0]} more are not shown")


def _grow(tree: Tree, node: RootNode, left: list[int]) -> None:
    from rich.text import Text

    inside = node.children or ()
    if inside and (node.path in FOLDED or node.asked_for_by.startswith("inputs[")):
        tree.add(Text(f"… {len(inside) + node.more} in it", style="dim"))
        return
    for child in inside:
        left[0] -= 1
        if left[0] >= 0:
            _grow(tree.add(_label(child)), child, left)
        else:
            left[0] -= sum(1 for _ in child.walk()) - 1
    if node.more:
        tree.add(Text(f"… and {node.more} more", style="dim"))


def _label(node: RootNode) -> RenderableType:
    from rich.text import Text

    name = node.name if node.target is None else f"{node.name} -> {node.target}"
    said = f"  {node.origin}, {'writable' if node.writable else 'read-only'}"
    return Text.assemble((shown(name), "green" if node.writable else ""), (shown(said), "dim"))
