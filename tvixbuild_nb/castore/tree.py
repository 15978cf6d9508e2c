"""Tree: a node and what lies below it, to walk through like a pathlib.Path."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import IO, TYPE_CHECKING, Any

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.nodes import Directory, DirectoryNode, FileNode, Node, SymlinkNode, check_name
from tvixbuild_nb.display import mimebundle
from tvixbuild_nb.errors import CastoreError, NotFound

if TYPE_CHECKING:
    from tvixbuild_nb.castore.castore import Castore
    from tvixbuild_nb.castore.compare import TreeDiff
    from tvixbuild_nb.castore.filesystem import CastoreFileSystem

_MAX_LINKS = 40


class Tree:
    """A place in a stored tree: ``tree / "bin" / "hello"``. It may name what is not there, as a Path may.

    Immutable, equal by root node and path, and it reads from ``castore`` only when asked.  Symlinks
    are never followed, except by :meth:`resolve`.  What needs the entry raises :class:`NotFound` when
    it is not there, and :class:`CastoreError` when it is of another kind.
    """

    __slots__ = ("_node", "_parts", "_root", "castore")

    def __init__(self, node: Node, castore: Castore, name: bytes = b"", *, parts: tuple[bytes, ...] = ()) -> None:
        self._root = (name, node)
        self._parts = parts
        self._node: Node | None = None if parts else node
        self.castore = castore

    def __truediv__(self, path: str | bytes | os.PathLike[str]) -> Tree:
        parts = [part for part in os.fsencode(path).split(b"/") if part not in (b"", b".")]
        for part in parts:
            check_name(part)
        return self._at((*self._parts, *parts))

    def _at(self, parts: tuple[bytes, ...]) -> Tree:
        return Tree(self._root[1], self.castore, self._root[0], parts=parts)

    def _child(self, name: bytes, node: Node) -> Tree:
        child = self._at((*self._parts, name))
        child._node = node
        return child

    @property
    def node(self) -> Node:
        """The node here; :class:`NotFound` names the first part of the path that is missing."""
        if self._node is None:
            self._node = self._find()
        return self._node

    def _find(self) -> Node:
        node = self._root[1]
        for depth, part in enumerate(self._parts):
            here = self._at(self._parts[: depth + 1])
            if not isinstance(node, DirectoryNode):
                raise NotFound(f"no such entry: {here.parent} is no directory", path=str(here))
            found = _load(self.castore, node).entries.get(part)
            if found is None:
                raise NotFound("no such entry", path=str(here))
            node = found
        return node

    @property
    def name(self) -> str:
        """The last part of the path, bytes that are not UTF-8 as surrogates."""
        return os.fsdecode(self.name_bytes)

    @property
    def name_bytes(self) -> bytes:
        """The last part of the path as it is stored."""
        return self._parts[-1] if self._parts else self._root[0]

    @property
    def parts(self) -> tuple[str, ...]:
        """The path below the root of this tree."""
        return tuple(map(os.fsdecode, self._parts))

    @property
    def path(self) -> str:
        """The path below the root of this tree, with slashes; empty at the root."""
        return os.fsdecode(b"/".join(self._parts))

    @property
    def parent(self) -> Tree:
        """One level up; the root's parent is the root."""
        return self._at(self._parts[:-1])

    @property
    def root(self) -> Tree:
        """The top of this tree."""
        return self._at(())

    @property
    def url(self) -> str:
        """``castore://DIGEST/path``: this place for whatever reads through fsspec; of a store that is not the default
        one, ``storage_options={"store": address}`` says which.
        """
        if isinstance(self._root[1], SymlinkNode):
            raise self.root._not_a("file or directory")
        return f"castore://{'/'.join((str(self._root[1].digest), *self.parts))}"

    def fsspec(self) -> CastoreFileSystem:
        """An fsspec file system over this tree's store: ``tree.fsspec().open(tree.url)``."""
        try:
            from tvixbuild_nb.castore.filesystem import CastoreFileSystem
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "fsspec":
                raise
            raise CastoreError("this needs the library fsspec", hint="pip install 'tvixbuild-nb[stores]'") from error
        return CastoreFileSystem(self.castore)

    def exists(self) -> bool:
        try:
            return self.node is not None
        except NotFound:
            return False

    def is_dir(self) -> bool:
        return self.exists() and isinstance(self.node, DirectoryNode)

    def is_file(self) -> bool:
        return self.exists() and isinstance(self.node, FileNode)

    def is_symlink(self) -> bool:
        return self.exists() and isinstance(self.node, SymlinkNode)

    @property
    def kind(self) -> str:
        """``file``, ``directory`` or ``symlink``."""
        return {FileNode: "file", DirectoryNode: "directory", SymlinkNode: "symlink"}[type(self.node)]

    @property
    def digest(self) -> Digest | None:
        """The digest of a file's contents or of a directory; None for a symlink."""
        return None if isinstance(self.node, SymlinkNode) else self.node.digest

    @property
    def size(self) -> int:
        """Bytes of a file or of a symlink's target; of a directory the entries below, at any depth."""
        node = self.node
        if isinstance(node, FileNode):
            return node.size
        return node.entry_count if isinstance(node, DirectoryNode) else len(node.target)

    @property
    def executable(self) -> bool:
        """Whether this is a file with its owner's x bit."""
        return isinstance(self.node, FileNode) and self.node.executable

    def readlink(self) -> str:
        """The target of a symlink."""
        if not isinstance(self.node, SymlinkNode):
            raise self._not_a("symlink")
        return os.fsdecode(self.node.target)

    def resolve(self) -> Tree:
        """This place with all symlinks followed; :class:`NotFound` when one leads out, nowhere, or in circles."""
        todo, done, links = list(reversed(self._parts)), self.root, 0
        while todo or isinstance(done.node, SymlinkNode):
            if isinstance(done.node, SymlinkNode):
                links += 1
                target = done.node.target
                if links > _MAX_LINKS:
                    raise NotFound("the symlinks go round in circles", path=str(self))
                if target.startswith(b"/") or not done._parts:
                    raise NotFound(
                        f"the symlink {done} leads out of the tree, to {os.fsdecode(target)}", path=str(self)
                    )
                todo.extend(reversed(target.split(b"/")))
                done = done.parent
                continue
            part = todo.pop()
            if part == b".." and not done._parts:
                raise NotFound("a symlink leads out of the tree", path=str(self))
            if part == b"..":
                done = done.parent
            elif part not in (b"", b"."):
                done = done / part
        return done

    def iterdir(self) -> Iterator[Tree]:
        """The entries of a directory, in the order of their names' bytes."""
        for name, node in self._directory():
            yield self._child(name, node)

    def __iter__(self) -> Iterator[Tree]:
        return self.iterdir()

    def walk(self) -> Iterator[tuple[Tree, list[str], list[str]]]:
        """(directory, names of directories, names of the rest) from here down, as ``Path.walk``."""
        entries = list(self.iterdir())
        names = [entry.name for entry in entries if isinstance(entry.node, DirectoryNode)]
        yield self, names, [entry.name for entry in entries if not isinstance(entry.node, DirectoryNode)]
        by_name = {entry.name: entry for entry in entries}
        for name in names:
            yield from by_name[name].walk()

    def glob(self, pattern: str) -> Iterator[Tree]:
        """What matches ``pattern`` below here: ``*``, ``?``, ``[...]`` in names, ``**`` for any directories between."""
        parts = [part for part in pattern.split("/") if part not in ("", ".")]
        seen: set[tuple[bytes, ...]] = set()
        for found in self._glob(parts):
            if found._parts not in seen:
                seen.add(found._parts)
                yield found

    def _glob(self, parts: list[str]) -> Iterator[Tree]:
        if not parts:
            yield self
            return
        first, *rest = parts
        if first == "**":
            yield from self._glob(rest)
        for entry in self.iterdir() if isinstance(self.node, DirectoryNode) else ():
            if first == "**":
                if isinstance(entry.node, DirectoryNode):
                    yield from entry._glob(parts)
            elif fnmatchcase(entry.name, first):
                yield from entry._glob(rest)

    def rglob(self, pattern: str) -> Iterator[Tree]:
        """:meth:`glob` at any depth."""
        return self.glob(f"**/{pattern}")

    def open(self, mode: str = "rb", encoding: str = "utf-8", errors: str = "strict") -> IO[Any]:
        """A file's contents as a seekable stream, ``rb`` or ``r``; bytes that are not what the digest says raise."""
        if mode not in ("rb", "r", "rt"):
            raise ValueError(f"mode is 'rb' or 'r', not {mode!r}: stored files never change")
        if not isinstance(self.node, FileNode):
            raise self._not_a("file")
        stream = self.castore.blobs.open_read(self.node.digest)
        if stream is None:
            raise NotFound(f"the store does not hold the contents of {self}", path=str(self.node.digest))
        return stream if mode == "rb" else io.TextIOWrapper(stream, encoding=encoding, errors=errors)

    def read_bytes(self) -> bytes:
        """A file's contents, checked against the digest."""
        with self.open() as stream:
            data = stream.read()
        assert isinstance(data, bytes)
        return data

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """A file's contents as text."""
        return self.read_bytes().decode(encoding, errors)

    def diff(self, after: Tree) -> TreeDiff:
        """What changed from here to ``after``, which may live in another store; equal subtrees are not looked into."""
        from tvixbuild_nb.castore.compare import tree_diff  # which stands on this module

        return tree_diff(self, after)

    def export(self, dest: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> None:
        """Write what is here to ``dest``, which must not exist."""
        self.castore.export(self.node, dest)

    def _directory(self) -> Directory:
        if not isinstance(self.node, DirectoryNode):
            raise self._not_a("directory")
        return _load(self.castore, self.node)

    def _not_a(self, kind: str) -> CastoreError:
        hint = "resolve() follows symlinks inside the tree" if isinstance(self.node, SymlinkNode) else None
        return CastoreError(f"this is a {self.kind}, not a {kind}", path=str(self), hint=hint)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tree):
            return NotImplemented
        return (self._root, self._parts) == (other._root, other._parts)

    def __hash__(self) -> int:
        return hash((self._root, self._parts))

    def __str__(self) -> str:
        name = os.fsdecode(self._root[0]) or "."
        return "/".join((name, *self.parts))

    def __repr__(self) -> str:
        if not self.exists():
            return f"Tree({str(self)!r}, not there)"
        node = self.node
        if isinstance(node, SymlinkNode):
            return f"Tree({str(self)!r}, symlink to {os.fsdecode(node.target)!r})"
        if isinstance(node, DirectoryNode):
            return f"Tree({str(self)!r}, directory of {node.entry_count} entries, {node.digest})"
        return f"Tree({str(self)!r}, {'executable' if node.executable else 'file'} of {node.size} bytes, {node.digest})"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


def _load(castore: Castore, node: DirectoryNode) -> Directory:
    directory = castore.directories.get(node.digest)
    if directory is None:
        raise NotFound("the store does not hold this directory", path=str(node.digest))
    return directory
