"""Listing: a directory's entries by position, read from its message only as far as somebody looks.

A view shows thirty of a hundred thousand entries. Making nodes of all of them takes most of half a second, finding
where each one's message begins a tenth of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.encoding import decode_node
from tvixbuild_nb.castore.nodes import Directory, DirectoryNode, FileNode, Node
from tvixbuild_nb.castore.services import EncodedDirectories
from tvixbuild_nb.errors import InvalidNode, NotFound

if TYPE_CHECKING:
    from tvixbuild_nb.castore.castore import Castore

Entries = Sequence[tuple[bytes, Node]]


class Listing:
    """Entries in the message's own order: directories, files, symlinks, each kind by the bytes of the names.

    ``directories`` is how many of them are directories: these come first.
    """

    __slots__ = ("_data", "_entries", "_starts", "directories")

    def __init__(self, source: Directory | bytes) -> None:
        if isinstance(source, bytes):
            self._data, self._entries = source, None
            self._starts, self.directories = _starts(source)
        else:
            groups: tuple[list[tuple[bytes, Node]], ...] = ([], [], [])
            for entry in source.entries.items():
                node = entry[1]
                groups[0 if isinstance(node, DirectoryNode) else 1 if isinstance(node, FileNode) else 2].append(entry)
            self._data, self._starts = b"", []
            self._entries = groups[0] + groups[1] + groups[2]
            self.directories = len(groups[0])

    def __len__(self) -> int:
        return len(self._starts) - 1 if self._entries is None else len(self._entries)

    @property
    def size(self) -> int:
        """Castore's size of the directory; only the directories among the entries are looked at."""
        below = (node for _, node in self.page(0, self.directories))
        return 2 * len(self) + sum(node.size for node in below if isinstance(node, DirectoryNode))

    def page(self, start: int, stop: int) -> Entries:
        """(name, node) of the entries from ``start`` until before ``stop``, as far as there are."""
        if self._entries is not None:
            return self._entries[start:stop]
        starts = self._starts[start : stop + 1]
        return [decode_node(self._data[a:b]) for a, b in zip(starts, starts[1:], strict=False)]

    def nodes(self) -> Iterator[Node]:
        """Every node, in order; none is kept."""
        if self._entries is not None:
            return (node for _, node in self._entries)
        data = self._data
        return (decode_node(data[a:b])[1] for a, b in zip(self._starts, self._starts[1:], strict=False))

    def names(self) -> Iterator[bytes]:
        """Every name, in order; no nodes are made."""
        if self._entries is not None:
            yield from (name for name, _ in self._entries)
            return
        data = self._data
        for start in self._starts[:-1]:
            at = start + (2 if data[start + 1] < 0x80 else 3) + 1
            length = data[at]
            at += 1
            if length >= 0x80:
                length += 0x80 * (data[at] - 1)
                at += 1
            yield data[at : at + length]

    def without(self, other: Listing) -> dict[bytes, Node]:
        """The entries that ``other`` has not just so, by name; of two messages no more than these are read."""
        if self._entries is None and other._entries is None:
            known = set(other._messages())
            return dict(decode_node(message) for message in self._messages() if message not in known)
        entries, others = self.page(0, len(self)), set(other.page(0, len(other)))
        return dict(entry for entry in entries if entry not in others)

    def _messages(self) -> Iterator[bytes]:
        data = self._data
        return (data[a:b] for a, b in zip(self._starts, self._starts[1:], strict=False))


def list_directory(castore: Castore, node: DirectoryNode) -> Listing:
    """The entries of ``node``; :class:`NotFound` when the store does not hold it."""
    found = find_directory(castore, node.digest)
    if found is None:
        raise NotFound("the store does not hold this directory", path=str(node.digest))
    return found


def find_directory(castore: Castore, digest: Digest) -> Listing | None:
    """The entries of the directory with this digest; None when the store does not hold it."""
    service = castore.directories
    source = service.get_encoded(digest) if isinstance(service, EncodedDirectories) else service.get(digest)
    return None if source is None else Listing(source)


def _starts(data: bytes) -> tuple[list[int], int]:
    """Where each entry's message begins, and the end; how many are directories."""
    starts: list[int] = []
    add = starts.append
    at, end = 0, len(data)
    try:
        while at < end:
            add(at)
            length = data[at + 1]
            # An entry has at most 4,360 bytes: two bytes of length.
            at += 2 + length if length < 0x80 else 3 + (length & 0x7F) + (data[at + 2] << 7)
    except IndexError:
        at = -1
    if at != end:
        raise InvalidNode("the message ends in the middle of a field", path="directory")
    directories = 0
    while directories < len(starts) and data[starts[directories]] == 0x0A:
        directories += 1
    add(end)
    return starts, directories
