"""Castore: one opened store, and what people do with it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self

from tvixbuild_nb.castore import closure
from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.nodes import DirectoryNode, FileNode, Node, SymlinkNode
from tvixbuild_nb.castore.services import (
    Backend,
    Batch,
    BlobService,
    DirectoryService,
    Endable,
    FarDirectories,
    GcReport,
    Listable,
    ManyDirectories,
    PrefixIndex,
)
from tvixbuild_nb.errors import InvalidAddress, StoreError

if TYPE_CHECKING:
    from tvixbuild_nb.castore.progress import Progress
    from tvixbuild_nb.castore.tree import Tree

_COMBINED = re.compile(r"(cache|priority)\((.*)\)")
_COMBINING = re.compile(r"(cache|priority)\(")

STORE_VARIABLE = "TVIXBUILD_NB_STORE"


class Castore:
    """Content-addressed files and directories in one store, safe for several threads.

    Made by :func:`open_castore`.  ``blobs`` and ``directories`` are the services as such;
    ``address`` opens the same store again, also in another process when ``local_path`` is not None.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @property
    def blobs(self) -> BlobService:
        return self._backend.blobs

    @property
    def directories(self) -> DirectoryService:
        return self._backend.directories

    @property
    def address(self) -> str:
        return self._backend.address

    @property
    def local_path(self) -> Path | None:
        """The store's directory, when another process can read the store by it."""
        return self._backend.local_path

    def ingest(
        self, path: str | bytes | os.PathLike[str] | os.PathLike[bytes], *, progress: Progress | None = None
    ) -> Node:
        """Store the file, directory or symlink at ``path`` (never followed) and return its node.

        :class:`IngestError` names what cannot be stored; ``progress`` None shows itself after half
        a second in a terminal or a notebook.
        """
        from tvixbuild_nb.castore.paths import ingest_path

        return ingest_path(self, path, progress=progress).node

    def ingest_bytes(self, data: bytes, executable: bool = False) -> FileNode:
        """Store ``data`` as a file."""
        with self.batch() as batch:
            node = FileNode(Digest.of(data), len(data), executable)
            batch.put_blobs([(node.digest, bytes(data))])
            batch.commit(node)
        return node

    def ingest_tar(self, fileobj: BinaryIO, *, progress: Progress | None = None) -> DirectoryNode:
        """Store the members of a tar stream (compressed or not, need not seek) as a directory.

        :class:`IngestError` for names that are absolute or hold ``..``, for devices and FIFOs, and
        for a damaged stream.
        """
        from tvixbuild_nb.castore.tar import ingest_tar

        return ingest_tar(self, fileobj, progress=progress)

    def export(
        self,
        node: Node,
        dest: str | bytes | os.PathLike[str] | os.PathLike[bytes],
        *,
        progress: Progress | None = None,
    ) -> None:
        """Write ``node`` to ``dest``, which must not exist; it appears complete or not at all."""
        from tvixbuild_nb.castore.export import export

        export(self, node, dest, progress=progress)

    def tree(self, node: Node, name: bytes = b"") -> Tree:
        """``node`` as something to walk through like a path."""
        from tvixbuild_nb.castore.tree import Tree

        return Tree(node, self, name)

    def has(self, node: Node) -> bool:
        """Whether the store has what ``node`` itself names, a blob or directory (not all below); symlinks need none."""
        match node:
            case FileNode(digest=digest):
                return self.blobs.has(digest)
            case DirectoryNode(digest=digest):
                return self.directories.get(digest) is not None
            case SymlinkNode():
                return True

    def has_closure(self, node: Node) -> bool:
        """Whether the store holds everything that ``node`` reaches."""
        return not closure.missing(self, node)

    def missing(self, node: Node) -> list[Digest]:
        """Digests that ``node`` reaches and the store lacks, sorted."""
        return closure.missing(self, node)

    def beginning_with(self, prefix: str, limit: int = 20) -> list[Digest] | None:
        """The first ``limit`` digests of blobs and directories whose hex begins with ``prefix``.

        None when this store cannot look them up so; ``prefix`` is lower-case hex digits.
        """
        return self._backend.beginning_with(prefix, limit) if isinstance(self._backend, PrefixIndex) else None

    def missing_directories(self, digests: Iterable[Digest]) -> set[Digest]:
        """Those of ``digests`` of which the store holds no directory."""
        service = self.directories
        if isinstance(service, ManyDirectories):
            return service.missing(digests)
        return {digest for digest in digests if service.get(digest) is None}

    def everything(self) -> tuple[Iterator[Digest], Iterator[Digest]] | None:
        """The digests of all directories and of all blobs, or None when this store cannot tell."""
        backend = self._backend
        return (backend.all_directories(), backend.all_blobs()) if isinstance(backend, Listable) else None

    def endable(self) -> tuple[Castore, Callable[[], None]]:
        """The same store for one piece of work, and what ends that where it would wait for long; see Endable.

        It is not to be closed.
        """
        if not isinstance(self._backend, Endable):
            return self, lambda: None
        backend, end = self._backend.endable()
        return Castore(backend), end

    def expect(self, node: Node) -> None:
        """Say that all directories that ``node`` reaches will be asked for; a store far away has them sooner."""
        if isinstance(node, DirectoryNode) and isinstance(self.directories, FarDirectories):
            self.directories.expect(node.digest)

    def batch(self) -> Batch:
        """A group of writes that become visible together."""
        return self._backend.batch()

    def hold(self, node: Node) -> None:
        """Keep ``node`` and all it reaches from gc while this process has the store open."""
        self._backend.hold(node)

    def pin(self, name: str, node: Node) -> None:
        """Keep ``node`` and all it reaches from gc, under ``name``, until :meth:`unpin`."""
        self._backend.pin(name, node)

    def unpin(self, name: str) -> bool:
        """Forget a pin; whether there was one."""
        return self._backend.unpin(name)

    def pins(self) -> Mapping[str, Node]:
        """The pinned roots by name."""
        return self._backend.pins()

    def gc(self, roots: Iterable[Node] = (), *, dry_run: bool = False) -> GcReport:
        """Delete what neither ``roots``, nor pins, nor what living processes hold reach; ``dry_run`` only tells."""
        return self._backend.gc(roots, dry_run=dry_run)

    def sync(self) -> None:
        """Return when everything stored so far survives a power cut."""
        self._backend.sync()

    def close(self) -> None:
        """Let go of the store; using it afterwards is an error."""
        self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Castore({self.address!r})"


def open_castore(address: str | os.PathLike[str] | None = None, *, read_only: bool = False) -> Castore:
    """Open the store at ``address``: ``memory:``, ``file:/path``, ``objectstore+s3://bucket/prefix``,
    ``grpc+http://host:port``, or a path.

    ``cache(NEAR, FAR)`` and ``priority(FIRST, NEXT, ...)`` are addresses, too, of stores at addresses.
    None takes the environment's ``TVIXBUILD_NB_STORE`` (a path or an address), or else ``castore``
    in the user's data directory.  ``read_only`` never writes and asks for no lock: for processes that
    serve what others store.  :class:`InvalidAddress` lists the known schemes, :class:`StoreError`
    says why a store cannot be opened.
    """
    if address is None:
        address = os.environ.get(STORE_VARIABLE) or default_store_path()
    text = os.fspath(address)
    if (combined := _COMBINED.fullmatch(text)) is not None:
        from tvixbuild_nb.castore.combined import open_combined

        return open_combined(combined[1], combined[2], lambda part: open_castore(part, read_only=read_only))
    if (begun := _COMBINING.match(text)) is not None:
        raise InvalidAddress(f"{begun[0]!r} without its end: {text!r}", hint=f"known schemes: {_known_schemes()}")
    scheme, colon, rest = text.partition(":")
    if not colon or not re.fullmatch(r"[a-z][a-z0-9+.-]+", scheme):
        return Castore(_open_local(os.path.abspath(os.path.expanduser(text)), read_only))
    opener = _SCHEMES.get(scheme)
    if opener is None:
        raise InvalidAddress(
            f"unknown scheme in the store address {text!r}", hint=f"known schemes: {_known_schemes()}; or a path"
        )
    return Castore(opener(rest, read_only))


def default_store_path() -> str:
    """Where the embedded store lives when nobody says otherwise; nothing is made."""
    from platformdirs import user_data_dir

    return os.path.join(user_data_dir("tvixbuild-nb"), "castore")


def _open_memory(rest: str, read_only: bool) -> Backend:
    from tvixbuild_nb.castore.memory import MemoryStore

    if rest:
        raise InvalidAddress(f"nothing may follow 'memory:', not {rest!r}", hint=f"known schemes: {_known_schemes()}")
    return MemoryStore()


def _open_file(rest: str, read_only: bool) -> Backend:
    if not rest.startswith("/") or (rest.startswith("//") and not rest.startswith("///")):
        raise InvalidAddress(
            f"'file:' is followed by an absolute path, not by {rest!r}", hint=f"known schemes: {_known_schemes()}"
        )
    return _open_local("/" + rest.lstrip("/"), read_only)


def _open_local(path: str, read_only: bool) -> Backend:
    from tvixbuild_nb.castore.local import LocalStore

    return LocalStore(path, read_only=read_only)


def _on_objects(kind: str) -> Callable[[str, bool], Backend]:
    def open_objects(rest: str, read_only: bool) -> Backend:
        try:
            from tvixbuild_nb.castore.objects import ObjectStore
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "obstore":
                raise
            raise StoreError(
                "stores on object storage need the library obstore", hint="pip install 'tvixbuild-nb[stores]'"
            ) from error
        return ObjectStore(kind, rest, read_only=read_only)

    return open_objects


def _open_remote(scheme: str) -> Callable[[str, bool], Backend]:
    def open_there(rest: str, read_only: bool) -> Backend:
        from tvixbuild_nb.castore.remote import remote_store

        return remote_store(f"{scheme}:{rest}")

    return open_there


_SCHEMES: dict[str, Callable[[str, bool], Backend]] = {
    "memory": _open_memory,
    "file": _open_file,
    "objectstore+file": _on_objects("file"),
    "objectstore+memory": _on_objects("memory"),
    "objectstore+s3": _on_objects("s3"),
    **{scheme: _open_remote(scheme) for scheme in ("grpc+http", "grpc+https", "grpc+unix")},
}


def _known_schemes() -> str:
    return ", ".join([*(f"{scheme}:" for scheme in sorted(_SCHEMES)), "cache(NEAR, FAR)", "priority(FIRST, NEXT, ...)"])
