"""What somebody means who writes a digest, or the beginning of one."""

from __future__ import annotations

import re

from tvixbuild_nb.castore.castore import Castore
from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.listing import find_directory
from tvixbuild_nb.castore.nodes import DirectoryNode, FileNode
from tvixbuild_nb.castore.progress import human
from tvixbuild_nb.errors import InvalidNode, NotFound

# Shorter beginnings soon mean several.
_MIN_DIGITS = 6
_DIGITS = 64
_CANDIDATES = 10
_OTHER_STORE = "--store, TVIXBUILD_NB_STORE or store= open another one"


def find_node(castore: Castore, word: str, *, blob_first: bool = False) -> FileNode | DirectoryNode:
    """The directory or (not executable) file in the store whose digest in hex is, or begins with, ``word``.

    The beginning will do where only one of the store's begins so. :class:`InvalidNode` for what is no digest or means
    several, :class:`NotFound` when it is not there. An empty file and an empty directory have the same digest:
    ``blob_first`` says which one is meant.
    """
    digest = _digest(castore, word)
    directory = None if blob_first and castore.blobs.has(digest) else find_directory(castore, digest)
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
    directory = find_directory(castore, digest)
    if directory is not None:
        count = len(directory)
        return f"directory of {count} entr{'y' if count == 1 else 'ies'}"
    return f"blob of {human(castore.blobs.size(digest) or 0)}"
