"""What the words of a command line stand for: REQUEST and DIGEST[/path]."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

from tvixbuild_nb.castore import Castore, Digest, DirectoryNode, FileNode, Node, SymlinkNode, Tree
from tvixbuild_nb.cli.screen import amount, entries
from tvixbuild_nb.errors import InvalidNode, InvalidRequest, NotFound
from tvixbuild_nb.request import BuildRequest

# Shorter beginnings soon mean several.
_MIN_DIGITS = 6
_DIGITS = 64
_CANDIDATES = 10
_OTHER_STORE = "--store or TVIXBUILD_NB_STORE opens another one"


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
    digest = _digest(castore, word)
    root = castore.tree(_root(castore, digest, blob_first and not path), digest.hex().encode())
    there = root / path
    if follow:
        return there.resolve()
    return there.parent.resolve() / there.name if there.parts else there


def _digest(castore: Castore, word: str) -> Digest:
    if not re.fullmatch(f"[0-9a-fA-F]{{{_MIN_DIGITS},{_DIGITS}}}", word):
        raise InvalidNode(
            f"not a digest in hex: {word!r}",
            path="digest",
            hint=f"{_DIGITS} hex digits, or at least the first {_MIN_DIGITS}; `tvixbuild-nb ingest` prints them",
        )
    if len(word) == _DIGITS:
        return Digest.from_hex(word)
    found = castore.beginning_with(word.lower(), _CANDIDATES + 1)
    if found is None:
        raise InvalidNode(
            f"the store {castore.address} cannot look up digests by their beginning",
            path=word,
            hint=f"give all {_DIGITS} hex digits; `tvixbuild-nb ingest` prints them",
        )
    if not found:
        raise NotFound(
            f"the store {castore.address} holds nothing whose digest begins so", path=word, hint=_OTHER_STORE
        )
    if len(found) > 1:
        more = ["..."] if len(found) > _CANDIDATES else []
        lines = [f"  {digest}  {_described(castore, digest)}" for digest in found[:_CANDIDATES]]
        raise InvalidNode(
            "\n".join(["several digests begin so:", *lines, *more]), path=word, hint="give more digits of one of them"
        )
    return found[0]


def _described(castore: Castore, digest: Digest) -> str:
    directory = castore.directories.get(digest)
    if directory is not None:
        return f"directory of {entries(len(directory.entries))}"
    return f"blob of {amount(castore.blobs.size(digest) or 0)}"


def _root(castore: Castore, digest: Digest, blob_first: bool) -> Node:
    directory = None if blob_first and castore.blobs.has(digest) else castore.directories.get(digest)
    if directory is not None:
        return DirectoryNode(digest, directory.size)
    size = castore.blobs.size(digest)
    if size is None:
        raise NotFound(
            f"the store {castore.address} holds neither a directory nor a blob of this digest",
            path=str(digest),
            hint=_OTHER_STORE,
        )
    return FileNode(digest, size)


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
