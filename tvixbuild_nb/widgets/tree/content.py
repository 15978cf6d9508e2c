"""What an entry holds, bounded, harmless and without secrets: text, JSON laid out, an image, or bytes for a dump."""

from __future__ import annotations

import difflib
import json
import os
from typing import Any

from tvixbuild_nb.castore import Castore, DirectoryNode, FileNode, Node, SymlinkNode
from tvixbuild_nb.errors import NotFound
from tvixbuild_nb.widgets.tree.code import place_code
from tvixbuild_nb.widgets.tree.highlight import highlighted
from tvixbuild_nb.widgets.tree.images import image_type
from tvixbuild_nb.widgets.tree.places import Place
from tvixbuild_nb.widgets.tree.roots import Root
from tvixbuild_nb.widgets.tree.rows import needle_names

MAX_TEXT = 256 * 1024
MAX_IMAGE = 2 * 1024 * 1024
HEX_PAGE = 4096
MAX_DIFF_LINES = 2_000
MAX_DIFF_BYTES = 64 * 1024

Preview = tuple[dict[str, Any], list[bytes]]


def details(place: Place) -> dict[str, Any]:
    """An entry's facts in full: path, digest, the code that opens it, what is known of it beyond."""
    node, root = place.shown, place.root
    facts: dict[str, Any] = {
        "path": root.shown(b"/".join((os.fsencode(root.name), *place.path))),
        "code": place_code(place),
    }
    if isinstance(node, SymlinkNode):
        facts["target"] = root.shown(node.target)
    else:
        facts["digest"] = node.digest.hex()
    if isinstance(node, FileNode):
        facts |= {"size": node.size, "executable": node.executable}
        if root.hides:
            facts["secrets"] = True
    needles = needle_names(place)
    if needles:
        facts["needles"] = needles
    if root.touched is not None:
        facts |= {"used": root.touched.at(place.path), "missing": root.touched.missing(place.path)}
    if place.change in ("changed", "inside", "removed"):
        facts["before"] = in_words(root, place.before)
        facts["now"] = in_words(root, place.node)
    return facts


def in_words(root: Root, node: Node | None) -> str:
    """One line that tells a node from another."""
    if isinstance(node, DirectoryNode):
        return f"directory of {node.entry_count} entries, {node.digest}"
    if isinstance(node, SymlinkNode):
        return f"symlink to {root.shown(node.target)}"
    if isinstance(node, FileNode):
        return f"{'executable' if node.executable else 'file'} of {node.size} bytes, {node.digest}"
    return "not there"


def preview(place: Place) -> Preview:
    """What to show of an entry's contents, and buffers. ``form``: text, json, diff, image, hex, or none.

    ``shown`` bytes of ``size`` were looked at. Text is safe to look at, ``runs`` say how to colour its beginning; an
    image is PNG, JPEG, GIF or WebP by its own bytes, and never larger than a screen can be.
    """
    node, root = place.shown, place.root
    if not isinstance(node, FileNode):
        return {"form": "none"}, []
    if place.change == "changed":
        lines = text_diff(place)
        if lines is not None:
            return {"form": "diff", "text": "\n".join(lines), "size": node.size, "shown": node.size}, []
    data = read(place.castore, node, 0, MAX_TEXT)
    whole = len(data) == node.size
    head = {"size": node.size, "shown": len(data)}
    kind = image_type(data)
    if kind is not None and node.size <= MAX_IMAGE:
        image = read(place.castore, node, 0, node.size)
        if not root.hidden_places(image):
            return {**head, "form": "image", "type": kind, "shown": node.size}, [image]
    text = as_text(data, whole=whole)
    if text is None:
        facts, buffers = hex_page(place, node, 0)
        return {**head, **facts, "form": "hex", "shown": len(buffers[0])}, buffers
    laid_out = as_json(text) if whole else None
    if laid_out is not None:
        return _text(head, "json", root.shown(laid_out, keep="\n"), "a.json"), []
    # What was cut off may have cut a secret: its beginning is not shown either.
    seen = root.shown(text, keep="\n\t") if whole else root.shown_beginning(text, keep="\n\t")
    return _text(head, "text", seen, root.shown(place.name)), []


def _text(head: dict[str, Any], form: str, text: str, name: str) -> dict[str, Any]:
    runs = highlighted(text, name)
    return {**head, "form": form, "text": text, **({"runs": runs} if runs else {})}


def hex_page(place: Place, node: FileNode, offset: int) -> Preview:
    """A page of bytes; what is secret is zero, and ``hidden`` says from where to where, counted from ``offset``."""
    # A secret may begin before the page and end behind it.
    reach = place.root.hidden_reach
    start = max(0, offset - reach)
    data = read(place.castore, node, start, offset - start + HEX_PAGE + reach)
    page = bytearray(data[offset - start :][:HEX_PAGE])
    hidden = []
    for begin, end in place.root.hidden_places(data):
        begin, end = max(0, begin + start - offset), min(len(page), end + start - offset)
        if begin < end:
            hidden.append([begin, end])
            page[begin:end] = bytes(end - begin)
    return {"offset": offset, "size": node.size, "hidden": hidden}, [bytes(page)]


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
    sides = [place.root.shown(text, keep="\n\t").split("\n") for text in texts if text is not None]
    if len(sides) < 2 or max(map(len, sides)) > MAX_DIFF_LINES:
        return None
    return list(difflib.unified_diff(sides[0], sides[1], "before", "after", lineterm="")) or [
        "The two differ only in what is not shown."
    ]
