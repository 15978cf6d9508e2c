"""What a difference between two files looks like: a time, a name of the host, another order. A guess, and said so."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tvixbuild_nb.castore import FileNode, TreeDiff

MAX_SIZE = 1 << 20
_EPOCH = re.compile(rb"(?<!\d)1[5-9]\d{8}(?!\d)")
_CLOCK = re.compile(rb"\d{4}-\d\d-\d\d[T ]|(?<!\d)[0-2]?\d:[0-5]\d:[0-5]\d(?!\d)|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ")


def guess(before: bytes, after: bytes, hostnames: Iterable[str] = ()) -> str | None:
    """What a difference is likely to be, in words; None when nothing is known of its kind."""
    lines = before.split(b"\n"), after.split(b"\n")
    if lines[0] != lines[1] and sorted(lines[0]) == sorted(lines[1]):
        return "the same lines in another order"
    pairs = [pair for pair in zip(*lines, strict=False) if pair[0] != pair[1]]
    if pairs and len(lines[0]) == len(lines[1]):
        if all(sorted(one.split()) == sorted(other.split()) for one, other in pairs):
            return "the same words in another order"
        for pattern in (_EPOCH, _CLOCK):
            if all(pattern.search(one) and pattern.search(other) for one, other in pairs):
                return "a time; SOURCE_DATE_EPOCH is what tools take instead"
        names = [name.encode() for name in hostnames]
        if any(name in one or name in other for name in names for one, other in pairs):
            return "the hostname"
    return None


def guesses(diff: TreeDiff, hostnames: Iterable[str] = ()) -> str | None:
    """What the smallest changed file of a tree looks like; None for files over 1 MiB and where nothing is known."""
    for change in diff.smallest(1):
        before, after = change.before, change.after
        if not (isinstance(before, FileNode) and isinstance(after, FileNode)):
            return None
        if before.digest == after.digest or max(before.size, after.size) > MAX_SIZE:
            return None
        old, new = (tree.castore.tree(node).read_bytes() for tree, node in ((diff.before, before), (diff.after, after)))
        return guess(old, new, hostnames)
    return None
