"""Python that opens an entry as a Tree, in any process that can open the store. Made of literals only."""

from __future__ import annotations

import os

from tvixbuild_nb.castore import Castore, FileNode, Node, SymlinkNode
from tvixbuild_nb.widgets.tree.places import Place


def place_code(place: Place) -> str:
    """The code for an entry of a view; says so where it would have to show a secret."""
    name = place.path[-1] if place.path else os.fsencode(place.root.name)
    code = node_code(place.shown, place.castore, name)
    if place.root.hidden(code) == code:
        return code
    if isinstance(place.shown, SymlinkNode):
        return "# where this symlink leads holds a secret: it is not shown"
    return node_code(place.shown, place.castore)


def node_code(node: Node, castore: Castore | None = None, name: bytes = b"") -> str:
    """The code for a node in ``castore``; None: in the default store."""
    if isinstance(node, SymlinkNode):
        kind, made = "SymlinkNode", f"SymlinkNode({node.target!r})"
    else:
        kind = type(node).__name__
        given = ", executable=True" if isinstance(node, FileNode) and node.executable else ""
        made = f'{kind}(Digest.from_hex("{node.digest}"), {node.size}{given})'
    names = ", ".join(sorted({kind, "open_castore"} | (set() if kind == "SymlinkNode" else {"Digest"})))
    warning = "# a store in memory: only the process that has it can open it\n"
    # Whatever somebody chose for a path: as literals they can be nothing else.
    address = "" if castore is None else ascii(castore.address)
    return (
        f"{warning if castore is not None and castore.local_path is None else ''}"
        f"from tvixbuild_nb.castore import {names}\n\n"
        f"tree = open_castore({address}).tree({made}{f', {name!r}' if name else ''})"
    )
