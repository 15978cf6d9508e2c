"""The words a NAR is made of, and how a string of bytes stands in one.

A NAR is a row of strings. Each is its length in bytes as a little-endian number of 64 bits, the bytes, and zeros up
to a multiple of eight. ``nix-archive-1`` comes first, then one node:

    node       ( type regular [executable ""] contents BYTES )
               ( type symlink target BYTES )
               ( type directory ENTRY... )         entries in the order of their names' bytes
    ENTRY      entry ( name BYTES node NODE )

Numbers, parentheses and keywords are strings too, except the lengths.
"""

from __future__ import annotations

from dataclasses import dataclass

MAGIC = b"nix-archive-1"
ALIGNMENT = 8
_ZEROS = tuple(bytes(count) for count in range(ALIGNMENT))


def padding(length: int) -> bytes:
    """The zeros that follow a string of ``length`` bytes."""
    return _ZEROS[-length % ALIGNMENT]


def string(data: bytes) -> bytes:
    """``data`` as it stands in a NAR."""
    return len(data).to_bytes(8, "little") + data + padding(len(data))


@dataclass(frozen=True, slots=True)
class Words:
    """Strings that always come in this order: themselves, and the bytes they are together."""

    words: tuple[bytes, ...]
    data: bytes

    def __len__(self) -> int:
        return len(self.data)


def words(*parts: bytes) -> Words:
    """``parts`` as :class:`Words`."""
    return Words(parts, b"".join(map(string, parts)))


# A node up to the word that says its kind; the first one of all.
START = words(MAGIC, b"(", b"type")
# In a directory: up to the name of an entry, and from behind it to the kind of its node.
ENTRY = words(b"entry", b"(", b"name")
NODE = words(b"node", b"(", b"type")
# From the kind to what differs from node to node.
REGULAR = words(b"regular", b"contents")
EXECUTABLE = words(b"regular", b"executable", b"", b"contents")
SYMLINK = words(b"symlink", b"target")
DIRECTORY = words(b"directory")
# The end of the first node, and of any other with the entry it stands in.
END_ROOT = words(b")")
END = words(b")", b")")
