"""The commands about what is in the store: ingest, ls, tree, cat, export."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator

from rich.text import Text

from tvixbuild_nb.castore import DirectoryNode, FileNode, Node, SymlinkNode, Tree, open_castore
from tvixbuild_nb.cli.places import find, node_summary
from tvixbuild_nb.cli.screen import amount, counted, directories, entries, safe, write_bytes, write_json, write_lines

_CHUNK = 1 << 20


def ingest(args: Namespace) -> int:
    """Store every PATH; nothing of what comes after one that cannot be stored."""
    with open_castore(args.store) as castore:
        nodes = [castore.ingest(path) for path in args.paths]
    if args.json:
        found = [node_summary(node) for node in nodes]
        write_json(found[0] if len(found) == 1 else found)
    else:
        write_lines(_line(node, path, wide=True) for node, path in zip(nodes, args.paths, strict=True))
    return 0


def ls(args: Namespace) -> int:
    """List a directory's entries, or the one entry that the path names."""
    with open_castore(args.store) as castore:
        place = find(castore, args.digest, follow=args.digest.endswith("/"))
        found = list(place.iterdir()) if place.is_dir() else [place]
        if args.json:
            write_json([{"name": entry.name} | node_summary(entry.node) for entry in found])
        else:
            write_lines(_line(entry.node, entry.name, wide=True) for entry in found)
    return 0


def tree(args: Namespace) -> int:
    """Draw everything below a directory, and count it."""
    with open_castore(args.store) as castore:
        top = find(castore, args.digest, follow=args.digest.endswith("/"))
        if args.json:
            below = [{"path": _below(entry, top)} | node_summary(entry.node) for entry, _ in _walk(top)]
            write_json({"root": node_summary(top.node), "entries": below})
        else:
            write_lines(draw(top))
    return 0


def cat(args: Namespace) -> int:
    """Copy a file's bytes to standard output as they are."""
    with open_castore(args.store) as castore, find(castore, args.digest, follow=True, blob_first=True).open() as file:
        while data := file.read(_CHUNK):
            write_bytes(data)
    return 0


def export(args: Namespace) -> int:
    """Write what the digest names to DEST; it appears complete or not at all."""
    with open_castore(args.store) as castore:
        find(castore, args.digest, follow=args.digest.endswith("/")).export(args.dest)
    return 0


def draw(top: Tree) -> Iterator[Text]:
    """The lines of a drawn tree; the last one counts."""
    yield _line(top.node, top.name or ".")
    counts = {"directory": 0, "file": 0, "symlink": 0}
    size = 0
    for entry, guides in _walk(top):
        counts[entry.kind] += 1
        size += entry.size if isinstance(entry.node, FileNode) else 0
        yield Text(guides, style="dim") + _line(entry.node, entry.name)
    files, links = counted(counts["file"], "file"), counted(counts["symlink"], "symlink")
    yield Text(f"{directories(counts['directory'])}, {files}, {links}; {amount(size)} in files", style="dim")


def _walk(top: Tree) -> Iterator[tuple[Tree, str]]:
    """Everything below ``top`` with the guides to draw before it; trees may be deeper than Python's stack."""
    if not top.is_dir():
        return
    stack = [(iter(_marked(top)), "")]
    while stack:
        marked, before = stack[-1]
        found = next(marked, None)
        if found is None:
            stack.pop()
            continue
        entry, last = found
        yield entry, before + ("└── " if last else "├── ")
        if isinstance(entry.node, DirectoryNode):
            stack.append((iter(_marked(entry)), before + ("    " if last else "│   ")))


def _marked(directory: Tree) -> list[tuple[Tree, bool]]:
    found = list(directory.iterdir())
    return [(entry, index == len(found)) for index, entry in enumerate(found, 1)]


def _below(entry: Tree, top: Tree) -> str:
    return "/".join(entry.parts[len(top.parts) :])


def _line(node: Node, name: str, *, wide: bool = False) -> Text:
    match node:
        case DirectoryNode():
            kind, style, size, digest = "d", "bold blue", entries(node.entry_count), str(node.digest)
        case FileNode():
            kind, style = ("x", "bold green") if node.executable else ("-", "")
            size, digest = amount(node.size), str(node.digest)
        case SymlinkNode():
            kind, style, size, digest = "l", "cyan", "", ""
    shown = Text(safe(name), style=style)
    if isinstance(node, SymlinkNode):
        shown.append(f" -> {safe(os.fsdecode(node.target))}", style="not bold default")
    if wide:
        return Text.assemble(f"{kind} ", (f"{digest:64} ", "dim"), f"{size:>14}  ", shown)
    details = "  ".join(part for part in (size, digest[:12]) if part)
    return Text.assemble(shown, (f"  {details}" if details else "", "dim"))
