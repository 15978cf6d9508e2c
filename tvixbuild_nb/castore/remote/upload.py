"""upload: bring to a remote store what it lacks of some nodes, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, Protocol

from blake3 import blake3

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.nodes import Directory, DirectoryNode, FileNode, Node
from tvixbuild_nb.castore.progress import Progress
from tvixbuild_nb.castore.remote.blobs import RemoteBlobs
from tvixbuild_nb.castore.remote.connection import CHUNK
from tvixbuild_nb.castore.remote.directories import RemoteDirectories
from tvixbuild_nb.castore.remote.order import GetDirectory, children_first
from tvixbuild_nb.castore.syncing import sync
from tvixbuild_nb.errors import DigestMismatch, NotFound

if TYPE_CHECKING:
    from tvixbuild_nb.castore.castore import Castore

# Of small blobs so many bytes are read before they are sent, of large ones so many are under way.
_SMALL_AT_ONCE = 8 << 20
_LARGE_AT_ONCE = 3
_ASKED_AT_ONCE = 2000


class Cancelling(Protocol):
    """Who may end an upload from another thread: a build's CancelToken is one."""

    def check(self) -> None:
        """Raise when it was asked for."""
        ...

    def heard_by(self, listener: Callable[[], None]) -> AbstractContextManager[None]:
        """Call ``listener`` when (or if already) it is asked for, during the block."""
        ...


def upload(
    source: Castore,
    target: Castore,
    nodes: Iterable[Node],
    progress: Progress,
    *,
    trusting: bool = False,
    cancel: Cancelling | None = None,
) -> bool:
    """Send what ``nodes`` reach and ``target`` lacks; contents first, then each closure. Whether that was anything.

    Several blobs are under way at once; of large ones no more than a few chunks are in memory. :class:`NotFound` when
    neither side has something, :class:`DigestMismatch` when ``source`` is damaged; what was sent stays there, unnamed.
    ``trusting``: a directory that is there is taken to be there with all below it, and nothing more is asked.
    It ends within a moment, whatever the other side does, when it is interrupted (Ctrl-C), or when ``cancel`` is asked
    for, which then says what is raised.
    """
    roots = list(dict.fromkeys(nodes))
    (near, end_near), (far, end_far) = source.endable(), target.endable()

    def end() -> None:
        end_near()
        end_far()

    with nullcontext() if cancel is None else cancel.heard_by(end):
        heeding = progress if cancel is None else _Heeding(progress, cancel)
        try:
            if isinstance(far.blobs, RemoteBlobs) and isinstance(far.directories, RemoteDirectories):
                return _Upload(near, far.blobs, far.directories, heeding, end).all(roots, trusting)
            report = sync(near, far, roots, progress=heeding)
            return report.blobs + report.directories > 0
        except Exception:
            # What failed after that failed for that.
            if cancel is not None:
                cancel.check()
            raise
        finally:
            end()


class _Heeding:
    """Progress that ends the work it is told of."""

    def __init__(self, progress: Progress, cancel: Cancelling) -> None:
        self._progress = progress
        self._cancel = cancel

    def advance(self, files: int = 0, bytes: int = 0) -> None:
        self._cancel.check()
        self._progress.advance(files, bytes)


class _Upload:
    """One upload under way; ``end`` cancels all its calls."""

    def __init__(
        self,
        source: Castore,
        blobs: RemoteBlobs,
        directories: RemoteDirectories,
        progress: Progress,
        end: Callable[[], None],
    ) -> None:
        self._source = source
        self._blobs = blobs
        self._directories = directories
        self._progress = progress
        self._end = end

    def all(self, roots: list[Node], trusting: bool) -> bool:
        absent = self._absent(roots)
        if trusting:
            roots = [root for root in roots if not isinstance(root, DirectoryNode) or root.digest in absent]
        sent = bool(absent)
        for files in _missing(self._blobs, _contents(roots, self._get)):
            self._send(files)
            sent = sent or bool(files)
        for digest in absent:
            self._directories.put_closure(digest, self._get)
        return sent

    def _absent(self, roots: list[Node]) -> list[Digest]:
        """The directories among ``roots`` that are not there."""
        wanted = [root.digest for root in roots if isinstance(root, DirectoryNode)]
        absent = self._directories.missing(wanted)
        return [digest for digest in dict.fromkeys(wanted) if digest in absent]

    def _get(self, digest: Digest) -> Directory | None:
        found = self._source.directories.get(digest)
        # An empty directory is false, and there all the same.
        return self._directories.get(digest) if found is None else found

    def _send(self, files: list[FileNode]) -> None:
        large: set[Future[None]] = set()
        small: list[tuple[Digest, bytes]] = []
        size = 0
        try:
            for node in files:
                if node.size > CHUNK:
                    if len(large) >= _LARGE_AT_ONCE:
                        done, large = wait(large, return_when=FIRST_COMPLETED)
                        _raise_from(done)
                    large.add(self._blobs.pool.submit(self._send_large, node))
                    continue
                small.append((node.digest, _read(self._source, node)))
                size += node.size
                if size >= _SMALL_AT_ONCE:
                    self._send_small(small)
                    small, size = [], 0
            self._send_small(small)
            _raise_from(large)
        except BaseException:
            self._end()
            raise
        finally:
            for future in large:
                future.cancel()
            wait(large)

    def _send_small(self, blobs: list[tuple[Digest, bytes]]) -> None:
        self._blobs.put_small(blobs, lambda count: self._progress.advance(1, count))

    def _send_large(self, node: FileNode) -> None:
        with _open(self._source, node) as stream, self._blobs.open_write() as writer:
            hasher = blake3()
            while chunk := stream.read(CHUNK):
                hasher.update(chunk)
                writer.write(chunk)
                self._progress.advance(0, len(chunk))
            _check(node, hasher.digest())
            writer.close()
        self._progress.advance(1, 0)


def _contents(roots: list[Node], get: GetDirectory) -> Iterator[FileNode]:
    """The files that ``roots`` reach, each of their contents once."""
    seen: set[Digest] = set()
    for root in roots:
        found: Iterable[Node] = (root,)
        if isinstance(root, DirectoryNode):
            found = (node for directory in children_first(root.digest, get) for _, node in directory)
        for node in found:
            if isinstance(node, FileNode) and node.digest not in seen:
                seen.add(node.digest)
                yield node


def _missing(blobs: RemoteBlobs, files: Iterator[FileNode]) -> Iterator[list[FileNode]]:
    """Those whose contents are not there, asked for many at a time."""
    while asked := list(islice(files, _ASKED_AT_ONCE)):
        absent = blobs.missing(node.digest for node in asked)
        yield [node for node in asked if node.digest in absent]


def _raise_from(futures: Iterable[Future[None]]) -> None:
    for future in futures:
        future.result()


def _read(source: Castore, node: FileNode) -> bytes:
    with _open(source, node) as stream:
        data = stream.read()
    _check(node, Digest.of(data))
    return data


def _open(source: Castore, node: FileNode) -> BinaryIO:
    stream = source.blobs.open_read(node.digest)
    if stream is None:
        raise NotFound(f"neither {source.address} nor the other side holds this blob", path=str(node.digest))
    return stream


def _check(node: FileNode, digest: bytes) -> None:
    if digest != node.digest:
        raise DigestMismatch("the bytes in the store are not what their digest says", path=str(node.digest))
