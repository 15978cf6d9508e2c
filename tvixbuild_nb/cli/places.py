"""What the words of a command line stand for: REQUEST and DIGEST[/path]."""

from __future__ import annotations

import os
import sys
from typing import Any

from tvixbuild_nb.castore import Castore, DirectoryNode, FileNode, Node, SymlinkNode, Tree
from tvixbuild_nb.castore.lookup import find_node
from tvixbuild_nb.errors import InvalidRequest
from tvixbuild_nb.request import BuildRequest


def read_request(place: str) -> BuildRequest:
    """The request in the file ``place``, or on standard input for ``-``; :class:`InvalidRequest` says what is wrong."""
    try:
        if place == "-":
            data = sys.stdin.buffer.read()
        else:
            with open(place, "rb") as file:
                data = file.read()
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidRequest(reason, path=place, stage="request", hint="REQUEST is a file, or -") from error
    return BuildRequest.from_json(data)


def find(castore: Castore, place: str, *, follow: bool = False, blob_first: bool = False) -> Tree:
    """What ``DIGEST/path`` names in the store; :class:`NotFound` when it is not there.

    The beginning of a digest will do where only one of the store's begins so, else :class:`InvalidNode`.

    Symlinks on the way are followed inside the tree, the last one with ``follow``. An empty file and an empty
    directory have the same digest: ``blob_first`` says which one is meant.
    """
    word, _, path = place.partition("/")
    node = find_node(castore, word, blob_first=blob_first and not path)
    root = castore.tree(node, node.digest.hex().encode())
    there = root / path
    if follow:
        return there.resolve()
    return there.parent.resolve() / there.name if there.parts else there


def node_summary(node: Node) -> dict[str, Any]:
    """A node as plain data, None for what its kind lacks; ``size`` is castore's number, ``entries`` the true count."""
    summary: dict[str, Any] = dict.fromkeys(("kind", "digest", "size", "entries", "executable", "target"))
    match node:
        case FileNode():
            known = {"kind": "file", "digest": str(node.digest), "size": node.size, "executable": node.executable}
        case DirectoryNode():
            known = {
                "kind": "directory", "digest": str(node.digest), "size": node.size, "entries": node.entry_count
            }  # fmt: skip
        case SymlinkNode():
            known = {"kind": "symlink", "size": len(node.target), "target": os.fsdecode(node.target)}
    return summary | known
