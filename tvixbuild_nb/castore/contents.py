"""How two files differ: line by line where both are short texts, else at the first byte that is not the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from difflib import unified_diff
from itertools import islice
from typing import BinaryIO, Literal

from tvixbuild_nb.castore.castore import Castore
from tvixbuild_nb.castore.nodes import FileNode
from tvixbuild_nb.errors import NotFound

# Comparing lines takes time that grows with the square of their number.
MAX_TEXT = 64 * 1024
MAX_LINES = 40
_CONTEXT = 2
_ROW = 16
_ROWS = 2
_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class ContentsDiff:
    """How the bytes of two files differ.

    ``kind``: ``text``, then ``lines`` are those of a unified diff, or ``bytes``, then rows of a hex dump, each with the
    sign ``-`` or ``+`` of its file before it. ``offset``: the first byte that differs, or the length of the shorter
    file. ``complete`` False: there are more lines. The lines are as they are in the files but for secrets, hence not
    yet safe to show. ``hidden``: nothing is shown since what differs is secret, or stands beside what is.
    """

    kind: Literal["text", "bytes"]
    offset: int
    lines: tuple[str, ...]
    complete: bool = True
    hidden: bool = False

    @property
    def headline(self) -> str:
        """What the lines are, in words."""
        if self.hidden:
            return f"from byte {self.offset:,} on, in or beside what is secret: not shown"
        return f"from byte {self.offset:,} on{':' if self.complete else ', the beginning:'}"


def contents_diff(
    old_store: Castore, new_store: Castore, before: FileNode, after: FileNode, hide: Callable[[str], str] = str
) -> ContentsDiff | None:
    """How the contents differ, None when they are the same; each file is read at most twice, a piece at a time.

    ``hide`` takes secrets out of a text: of whole texts, since a secret may go over the end of a line; rows of a hex
    dump that a secret reaches into are not shown. :class:`~tvixbuild_nb.errors.NotFound` for contents that a store does
    not hold.
    """
    if before.digest == after.digest:
        return None
    with ExitStack() as stack:
        old, new = (
            stack.enter_context(_open(store, node)) for store, node in ((old_store, before), (new_store, after))
        )
        offset = _parting(old, new)
        if before.size <= MAX_TEXT and after.size <= MAX_TEXT:
            texts = [_text(stream) for stream in (old, new)]
            if texts[0] is not None and texts[1] is not None:
                return _of_lines(_lines(hide(texts[0])), _lines(hide(texts[1])), offset)
        if hide is not str and any(_holds_secret(stream, offset, hide) for stream in (old, new)):
            return ContentsDiff("bytes", offset, (), complete=False, hidden=True)
        rows = [*_rows(old, offset, "-"), *_rows(new, offset, "+")]
    ends = max(before.size, after.size) <= _first(offset) + _ROWS * _ROW
    return ContentsDiff("bytes", offset, tuple(rows), complete=ends)


def _open(castore: Castore, node: FileNode) -> BinaryIO:
    stream = castore.blobs.open_read(node.digest)
    if stream is None:
        raise NotFound("the store does not hold these contents", path=str(node.digest))
    return stream


def _parting(old: BinaryIO, new: BinaryIO) -> int:
    """Where two streams part, from their beginning."""
    at = 0
    while True:
        left, right = old.read(_CHUNK), new.read(_CHUNK)
        if left != right or not left:
            both = min(len(left), len(right))
            return at + next((index for index in range(both) if left[index] != right[index]), both)
        at += len(left)


def _text(stream: BinaryIO) -> str | None:
    stream.seek(0)
    data = stream.read()
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _lines(text: str) -> list[str]:
    # A carriage return stays in its line, where it is seen; so is a missing end of the last one.
    *lines, last = text.split("\n")
    return [*lines, f"{last} (without an end of line)"] if last else lines


def _of_lines(old: list[str], new: list[str], offset: int) -> ContentsDiff:
    found = list(islice(islice(unified_diff(old, new, lineterm="", n=_CONTEXT), 2, None), MAX_LINES + 1))
    return ContentsDiff("text", offset, tuple(found[:MAX_LINES]), len(found) <= MAX_LINES, hidden=not found)


def _first(offset: int) -> int:
    return offset - offset % _ROW


def _holds_secret(stream: BinaryIO, offset: int, hide: Callable[[str], str]) -> bool:
    """Whether a secret may reach into the rows to be shown: no variable's value is longer than a chunk."""
    first = _first(offset)
    start = max(0, first - _CHUNK)
    stream.seek(start)
    before, rows, after = (stream.read(size) for size in (first - start, _ROWS * _ROW, _CHUNK))
    parts = [part.decode("utf-8", "surrogateescape") for part in (before, rows, after)]
    whole = (before + rows + after).decode("utf-8", "surrogateescape")
    return hide(whole) != f"{hide(parts[0])}{parts[1]}{hide(parts[2])}"


def _rows(stream: BinaryIO, offset: int, sign: str) -> Iterator[str]:
    first = _first(offset)
    stream.seek(first)
    data = stream.read(_ROWS * _ROW)
    for at in range(0, len(data), _ROW):
        row = data[at : at + _ROW]
        shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        yield f"{sign}{first + at:08x}  {row.hex(' '):{3 * _ROW - 1}}  {shown}"
