"""nar: Nix's archive of one file-system object, read and written as a stream.

A tree is a row of ``events``. They come out of a castore or the host (``walk``) or a NAR (``read``), and become a
NAR (``write``), castore nodes (``store``), files of the host (``restore``) or a ``listing``; nothing of it needs a tree
on disk, or more memory than a small file and one entry for each level of depth. ``tokens`` is the format.
"""

from __future__ import annotations

from collections.abc import Iterator

from tvixbuild_nb.castore import Castore, Node
from tvixbuild_nb.castore.paths import AnyPath
from tvixbuild_nb.nix.nar.events import Enter, Event, File, Leave, Link
from tvixbuild_nb.nix.nar.listing import NarEntry, list_nar
from tvixbuild_nb.nix.nar.read import ByteSource, nar_events
from tvixbuild_nb.nix.nar.restore import restore
from tvixbuild_nb.nix.nar.store import ingest_events, ingest_nar
from tvixbuild_nb.nix.nar.walk import castore_events, host_events
from tvixbuild_nb.nix.nar.write import NarSum, Summing, nar_chunks, nar_sum

__all__ = [
    "ByteSource",
    "Enter",
    "Event",
    "File",
    "Leave",
    "Link",
    "NarEntry",
    "NarSum",
    "Summing",
    "castore_events",
    "host_events",
    "ingest_events",
    "ingest_nar",
    "list_nar",
    "nar_chunks",
    "nar_events",
    "nar_of_node",
    "nar_of_path",
    "nar_sum",
    "restore",
    "sum_of_node",
    "sum_of_path",
]


def nar_of_node(castore: Castore, node: Node) -> Iterator[bytes | memoryview]:
    """The NAR of ``node`` in pieces, each valid until the next but one is asked for."""
    return nar_chunks(castore_events(castore, node))


def nar_of_path(path: AnyPath) -> Iterator[bytes | memoryview]:
    """The NAR of what is at ``path`` on the host, as :func:`nar_of_node`."""
    return nar_chunks(host_events(path))


def sum_of_node(castore: Castore, node: Node) -> NarSum:
    """SHA-256 and size of the NAR of ``node``, which is not made anywhere."""
    return nar_sum(nar_of_node(castore, node))


def sum_of_path(path: AnyPath) -> NarSum:
    """SHA-256 and size of the NAR of what is at ``path`` on the host."""
    return nar_sum(nar_of_path(path))
