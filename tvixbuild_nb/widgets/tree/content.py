"""What an entry holds, bounded and harmless: text, JSON laid out, an image, or bytes for a hex dump."""

from __future__ import annotations

import difflib
import json
import os
from typing import Any

from tvixbuild_nb.castore import Castore, DirectoryNode, FileNode, Node, SymlinkNode
from tvixbuild_nb.errors import NotFound
from tvixbuild_nb.widgets.kit import visible
from tvixbuild_nb.widgets.tree.data import Place
from tvixbuild_nb.widgets.tree.images import image_type

MAX_TEXT = 256 * 1024
MAX_IMAGE = 2 * 1024 * 1024
HEX_PAGE = 4096
MAX_DIFF_LINES = 2_000
MAX_DIFF_BYTES = 64 * 1024


def details(place: Place) -> dict[str, Any]:
    """An entry's facts in full: path, digest, the code that opens it."""
    node, root = place.shown, place.root
    facts: dict[str, Any] = {
        "path": visible(b"/".join((os.fsencode(root.name), *place.path))),
        "code": open_code(place.castore, node, place.path[-1] if place.path else os.fsencode(root.name)),
    }
    if isinstance(node, SymlinkNode):
        facts["target"] = visible(node.target)
    else:
        facts["digest"] = node.digest.hex()
    if isinstance(node, FileNode):
        facts |= {"size": node.size, "executable": node.executable}
    if root.touched is not None:
        facts |= {"used": root.touched.at(place.path), "missing": root.touched.missing(place.path)}
    if place.change in ("changed", "inside", "removed"):
        facts["before"] = in_words(place.before)
        facts["now"] = in_words(place.node)
    return facts


def in_words(node: Node | None) -> str:
    """One line that tells a node from another."""
    if isinstance(node, DirectoryNode):
        return f"directory of {node.entry_count} entries, {node.digest}"
    if isinstance(node, SymlinkNode):
        return f"symlink to {visible(node.target)}"
    if isinstance(node, FileNode):
        return f"{'executable' if node.executable else 'file'} of {node.size} bytes, {node.digest}"
    return "not there"


def open_code(castore: Castore, node: Node, name: bytes) -> str:
    """Python that opens this entry as a Tree, in any process that can open the store. Made of literals only."""
    if isinstance(node, SymlinkNode):
        kind, made = "SymlinkNode", f"SymlinkNode({node.target!r})"
    else:
        kind = type(node).__name__
        given = ", executable=True" if isinstance(node, FileNode) and node.executable else ""
        made = f'{kind}(Digest.from_hex("{node.digest}"), {node.size}{given})'
    names = ", ".join(sorted({kind, "open_castore"} | (set() if kind == "SymlinkNode" else {"Digest"})))
    # Whatever somebody chose for a path: as literals they can be nothing else.
    warning = "# a store in memory: only the process that has it can open it\n" if castore.local_path is None else ""
    return (
        f"{warning}from tvixbuild_nb.castore import {names}\n\n"
        f"tree = open_castore({ascii(castore.address)}).tree({made}, {name!r})"
    )


def preview(place: Place) -> tuple[dict[str, Any], list[bytes]]:
    """What to show of an entry's contents, and buffers. ``form``: text, json, diff, image, hex, or none.

    ``shown`` bytes of ``size`` were looked at. Text is safe to look at; an image is PNG, JPEG, GIF or WebP by its
    own bytes, and never larger than a screen can be.
    """
    node = place.shown
    if not isinstance(node, FileNode):
        return {"form": "none"}, []
    if place.change == "changed":
        lines = text_diff(place)
        if lines is not None:
            return {"form": "diff", "text": "\n".join(lines), "size": node.size, "shown": node.size}, []
    data = read(place.castore, node, 0, MAX_TEXT)
    head = {"size": node.size, "shown": len(data)}
    kind = image_type(data)
    if kind is not None and node.size <= MAX_IMAGE:
        return {**head, "form": "image", "type": kind, "shown": node.size}, [read(place.castore, node, 0, node.size)]
    text = as_text(data, whole=len(data) == node.size)
    if text is None:
        return {**head, "form": "hex", "shown": min(len(data), HEX_PAGE)}, [data[:HEX_PAGE]]
    laid_out = as_json(text) if len(data) == node.size else None
    if laid_out is not None:
        return {**head, "form": "json", "text": visible(laid_out, keep="\n")}, []
    return {**head, "form": "text", "text": visible(text, keep="\n\t")}, []


def read(castore: Castore, node: FileNode, offset: int, size: int) -> bytes:
    """Up to ``size`` bytes of a file from ``offset``; a file read whole is checked against its digest."""
    if offset == 0 and size >= node.size:
        stream = castore.blobs.open_read(node.digest)
        if stream is None:
            raise NotFound("the store does not hold these contents", path=str(node.digest))
        with stream:
            return stream.read()
    reader = castore.blobs.reader(node.digest)
    if reader is None:
        raise NotFound("the store does not hold these contents", path=str(node.digest))
    try:
        return reader.pread(offset, size)
    finally:
        reader.close()


def as_text(data: bytes, *, whole: bool) -> str | None:
    """``data`` decoded when it is UTF-8 text, else None; cut off in the middle of a character is still text."""
    if b"\0" in data:
        return None
    for end in range(len(data), max(len(data) - 4, -1), -1):
        try:
            return data[:end].decode()
        except UnicodeDecodeError:
            if whole:
                return None
    return None


def as_json(text: str) -> str | None:
    """The same JSON, indented, when it is an object or an array, and does not become much longer by that."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        laid_out = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return None
    return laid_out if len(laid_out) <= 2 * MAX_TEXT else None


def text_diff(place: Place) -> list[str] | None:
    """Lines of a unified diff between two versions of a small text; None when it is none, or too large."""
    before, after = place.before, place.node
    if not isinstance(before, FileNode) or not isinstance(after, FileNode) or before.digest == after.digest:
        return None
    if max(before.size, after.size) > MAX_DIFF_BYTES or place.root.before is None:
        return None
    texts = [
        as_text(read(castore, node, 0, node.size), whole=True)
        for castore, node in ((place.root.before.castore, before), (place.castore, after))
    ]
    sides = [[visible(line, keep="\t") for line in text.split("\n")] for text in texts if text is not None]
    if len(sides) < 2 or max(map(len, sides)) > MAX_DIFF_LINES:
        return None
    return list(difflib.unified_diff(sides[0], sides[1], "before", "after", lineterm=""))
