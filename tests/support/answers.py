"""Values that answers about builds are made of, and what no view of them may show."""

from __future__ import annotations

from collections.abc import Mapping

from tvixbuild_nb.castore import Castore, Directory, DirectoryNode, Node

HOSTILE = "<img src=x onerror=window.bad=1>\x1b[2J\u202e"
SECRET = "hunter2-hunter2"


def harmless(html: str) -> str:
    """``html``, when nothing in it can act, and no secret that begins as :data:`SECRET` is in it."""
    assert not any(bad in html for bad in ("<img", "\x1b", "\u202e", "hunter"))
    return html


def folder(store: Castore, entries: Mapping[bytes, bytes | Node]) -> DirectoryNode:
    """A directory of these entries in ``store``; bytes are a file's."""
    nodes = {name: store.ingest_bytes(each) if isinstance(each, bytes) else each for name, each in entries.items()}
    made = Directory(nodes)
    return DirectoryNode(store.directories.put(made), made.size)
