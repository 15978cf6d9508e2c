"""Stores as an fsspec file system: ``castore://DIGEST/path``, so that pandas, xarray and others read trees directly.

fsspec finds it by the package's entry point. ``castore://DIGEST`` is a file's contents, or a directory.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any, NoReturn

from fsspec.spec import AbstractFileSystem, make_instance

from tvixbuild_nb.castore.castore import Castore, open_castore
from tvixbuild_nb.castore.lookup import find_node
from tvixbuild_nb.castore.nodes import DirectoryNode, FileNode, SymlinkNode
from tvixbuild_nb.castore.reading import CheckedReader, ReaderStream
from tvixbuild_nb.castore.services import BlobReader
from tvixbuild_nb.castore.tree import Tree
from tvixbuild_nb.errors import NotFound

_RANGES_AT_ONCE = 8


class CastoreFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """What a store holds, read-only, below ``castore://DIGEST``.

    Parameters: ``store`` is an address, a path or an open Castore; None is the default store (TVIXBUILD_NB_STORE).

    Symlinks are followed as far as they stay inside the tree of the digest; in listings one to a directory is a
    ``link``, which walks do not enter, and so is one that leads out or nowhere, which cannot be opened. Files carry
    their ``digest`` and ``executable``. A store as such is not listed: a path begins with a digest, or with the
    beginning of one where the store can look such up.
    """

    protocol = "castore"
    # What the default store is changes with the environment, and open stores of one name may be different ones.
    cachable = False
    _own: Castore | None = None

    def __init__(self, store: Castore | str | None = None, **storage_options: Any) -> None:
        super().__init__(store=store, **storage_options)
        if isinstance(store, Castore):
            self.castore = store
        else:
            self.castore = self._own = open_castore(store, read_only=True)

    def __del__(self) -> None:
        # fsspec knows no close; open files keep the file system.
        if self._own is not None:
            self._own.close()

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process (a worker of Dask) opens the store by its address.
        return make_instance, (type(self), (), {"store": self.castore.address})

    @property
    def fsid(self) -> str:
        return f"castore:{self.castore.address}"

    def _tree(self, path: str, *, blob_first: bool = False) -> Tree:
        """The place of ``path`` with symlinks followed."""
        stripped: str = self._strip_protocol(path)
        word, _, below = stripped.partition("/")
        if not word:
            reason = "a store is not listed: a path begins with a digest, as in castore://DIGEST/path"
            raise FileNotFoundError(errno.ENOENT, reason, path)
        with _as_os_error(path):
            try:
                node = find_node(self.castore, word, blob_first=blob_first and not below)
            except NotFound as error:
                hint = 'storage_options={"store": ADDRESS}, or TVIXBUILD_NB_STORE, opens another store'
                raise NotFound(error.message, path=error.path, hint=hint) from None
            return (self.castore.tree(node) / below).resolve()

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        return _info(self._strip_protocol(path), self._tree(path))

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        name, tree = self._strip_protocol(path), self._tree(path)
        found = [_info(name, tree)]
        if isinstance(tree.node, DirectoryNode):
            with _as_os_error(path):
                found = [_entry(f"{name}/{entry.name}", entry) for entry in tree.iterdir()]
        return found if detail else [entry["name"] for entry in found]

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> CastoreFile:
        if mode != "rb":
            self._refuse()
        return CastoreFile(self, path, self._reader(path))

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        with closing(self._reader(path)) as reader:
            return _range(reader, start, end)

    def cat_ranges(
        self,
        paths: Sequence[str],
        starts: Sequence[int | None] | int | None,
        ends: Sequence[int | None] | int | None,
        max_gap: int | None = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[Any]:
        """Parts of files, several at once; each file is looked up once."""
        begins = starts if isinstance(starts, Sequence) else [starts] * len(paths)
        stops = ends if isinstance(ends, Sequence) else [ends] * len(paths)
        if not len(paths) == len(begins) == len(stops):
            raise ValueError("as many starts and ends as paths")
        readers: dict[str, BlobReader | Exception] = {}

        def part(path: str, start: int | None, end: int | None) -> Any:
            try:
                if isinstance(reader := readers[path], Exception):
                    raise reader
                return _range(reader, start, end)
            except Exception as error:
                if on_error == "raise":
                    raise
                return error

        with ThreadPoolExecutor(_RANGES_AT_ONCE, "castore-ranges") as pool:
            try:
                wanted = list(dict.fromkeys(paths))
                readers.update(zip(wanted, pool.map(self._try_reader, wanted), strict=True))
                return list(pool.map(part, paths, begins, stops))
            finally:
                for reader in readers.values():
                    if not isinstance(reader, Exception):
                        reader.close()

    def _try_reader(self, path: str) -> BlobReader | Exception:
        try:
            return self._reader(path, checked=False)
        except Exception as error:
            return error

    def _reader(self, path: str, *, checked: bool = True) -> BlobReader:
        node = self._tree(path, blob_first=True).node
        if not isinstance(node, FileNode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        reader = self.castore.blobs.reader(node.digest)
        if reader is None:
            raise FileNotFoundError(errno.ENOENT, f"the store does not hold the contents {node.digest}", path)
        # It remembers how far it was read: not for several threads.
        return CheckedReader(reader, node.digest) if checked else reader

    def ukey(self, path: str) -> str:
        """The digest: it changes when the contents do, and only then."""
        return str(self.info(path)["digest"])

    def checksum(self, path: str) -> int:
        return int(self.ukey(path), 16)

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise OSError(errno.EROFS, "read-only: what a store holds never changes")

    # Of these fsspec does some silently not at all, and others step by step.
    mkdir = makedirs = rmdir = rm = rm_file = _rm = cp_file = mv = touch = pipe_file = put_file = _refuse


class CastoreFile(io.BufferedReader):
    """An open file of a CastoreFileSystem, which it keeps alive."""

    def __init__(self, fs: CastoreFileSystem, path: str, reader: BlobReader) -> None:
        super().__init__(ReaderStream(reader), buffer_size=1 << 18)
        self.fs = fs
        self.path = path
        self.size = reader.size


def _range(reader: BlobReader, start: int | None, end: int | None) -> bytes:
    """As a slice of the whole would be."""
    first, stop, _ = slice(start, end).indices(reader.size)
    return reader.pread(first, max(0, stop - first))


def _entry(name: str, entry: Tree) -> dict[str, Any]:
    """One line of a listing."""
    if not isinstance(entry.node, SymlinkNode):
        return _info(name, entry)
    link = {"name": name, "size": 0, "type": "link", "islink": True, "destination": entry.readlink()}
    try:
        there = entry.resolve()
    except NotFound:
        return link
    return _info(name, there) | {"islink": True, "destination": link["destination"]} if there.is_file() else link


def _info(name: str, tree: Tree) -> dict[str, Any]:
    node = tree.node
    if isinstance(node, FileNode):
        about = {"size": node.size, "type": "file", "executable": node.executable}
    else:
        about = {"size": 0, "type": "directory"}
    return {"name": name, "digest": str(tree.digest), "islink": False} | about


@contextmanager
def _as_os_error(path: str) -> Iterator[None]:
    """What is not there is what every file system says of it."""
    try:
        yield
    except NotFound as error:
        raise FileNotFoundError(errno.ENOENT, str(error), path) from error
