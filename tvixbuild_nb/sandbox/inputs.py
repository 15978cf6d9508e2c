"""What may be given as a build's input, how it gets into the store, and where it came from in words."""

from __future__ import annotations

import os

from tvixbuild_nb.castore import Castore, DirectoryNode, FileNode, Node, SymlinkNode, Tree, copy_closure
from tvixbuild_nb.errors import IngestError, InvalidRequest

InputValue = str | os.PathLike[str] | bytes | Tree | Node


def stored(value: InputValue, store: Castore) -> Node:
    """The node of ``value``, its contents in ``store``; a node is taken as it is, wherever its contents are.

    Raises what ingesting raises, and :class:`InvalidRequest` for what is no input.
    """
    match value:
        case FileNode() | DirectoryNode() | SymlinkNode():
            return value
        case bytes():
            return store.ingest_bytes(value)
        case Tree():
            if value.castore.address != store.address or value.castore.local_path is None:
                copy_closure(value.castore, store, value.node)
            return value.node
        case str() | os.PathLike():
            if isinstance(value, str) and not os.path.lexists(value):
                raise IngestError(
                    "No such file or directory", path=value, hint="a text is a path; contents are bytes: b'...'"
                )
            return store.ingest(value)
        case _:
            raise InvalidRequest(
                f"an input is a path, bytes, a Tree or a node, not {type(value).__name__}", path="inputs"
            )


def origin_of(value: InputValue) -> str | None:
    """Where ``value`` is from, in words; None for a node, which does not know."""
    match value:
        case bytes():
            return f"{len(value)} bytes given in Python"
        case Tree():
            return f"{value} of {value.castore.address}"
        case str() | os.PathLike():
            return os.path.abspath(os.fsdecode(value))
        case _:
            return None


class Origins:
    """Where inputs came from. It belongs to name and node: what was put in its place by hand came from elsewhere."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Node, str]] = {}

    def note(self, name: str, node: Node, origin: str | None) -> None:
        """The input ``name``, now ``node``, came from ``origin``; None: nobody knows."""
        if origin is None:
            self._known.pop(name, None)
        else:
            self._known[name] = (node, origin)

    def of(self, name: str, node: Node | None) -> str | None:
        """Where the input came from, if ``node`` is what was noted."""
        known, origin = self._known.get(name, (None, None))
        return origin if node is not None and known == node else None
