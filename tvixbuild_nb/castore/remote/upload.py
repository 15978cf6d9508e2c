"""upload: bring to a remote store what it lacks of some nodes, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

from blake3 import blake3

from tvixbuild_nb.castore.closure import copy_closure
from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.nodes import Directory, DirectoryNode, FileNode, Node
from tvixbuild_nb.castore.progress import Progress
from tvixbuild_nb.castore.remote.blobs import RemoteBlobs
from tvixbuild_nb.castore.remote.connection import CHUNK
from tvixbuild_nb.castore.remote.directories import RemoteDirectories
from tvixbuild_nb.castore.remote.order import GetDirectory, children_first
from tvixbuild_nb.errors import DigestMismatch, NotFound

if TYPE_CHECKING:
    from tvixbuild_nb.castore.castore import Castore

# Of small blobs so many bytes are read before they are sent, of large ones so many are under way.
_SMALL_AT_ONCE = 8 << 20
_LARGE_AT_ONCE = 3
_ASKED_AT_ONCE = 2000


def upload(
    source: Castore, target: Castore, nodes: Iterable[Node], progress: Progress, *, trusting: bool = False
) -> None:
    """Send what ``nodes`` reach and ``target`` lacks; contents first, then each closure, so that none has holes.

    Several blobs are under way at once; of large ones no more than a few chunks are in memory. :class:`NotFound` when
    neither side has something, :class:`DigestMismatch` when ``source`` is damaged; what was sent stays there, unnamed.
    ``trusting``: a directory that is there is taken to be there with all below it, and nothing more is asked.
    """
    roots = list(dict.fromkeys(nodes))
    blobs, directories = target.blobs, target.directories
    if not isinstance(blobs, RemoteBlobs) or not isinstance(directories, RemoteDirectories):
        for node in roots:
            copy_closure(source, target, node)
        return

    def get(digest: Digest) -> Directory | None:
        found = source.directories.get(digest)
        # An empty directory is false, and there all the same.
        return directories.get(digest) if found is None else found

    if trusting:
        roots = [each for each in roots if not isinstance(each, DirectoryNode) or directories.get(each.digest) is None]
    for absent in _missing(blobs, _contents(roots, get)):
        _send(source, blobs, absent, progress)
    for node in roots:
        if isinstance(node, DirectoryNode) and directories.get(node.digest) is None:
            directories.put_closure(node.digest, get)


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


def _send(source: Castore, blobs: RemoteBlobs, files: list[FileNode], progress: Progress) -> None:
    large: set[Future[None]] = set()
    small: list[tuple[Digest, bytes]] = []
    size = 0
    try:
        for node in files:
            if node.size > CHUNK:
                if len(large) >= _LARGE_AT_ONCE:
                    done, large = wait(large, return_when=FIRST_COMPLETED)
                    _raise_from(done)
                large.add(blobs.pool.submit(_send_large, source, blobs, node, progress))
                continue
            small.append((node.digest, _read(source, node)))
            size += node.size
            if size >= _SMALL_AT_ONCE:
                blobs.put_small(small, lambda count: progress.advance(1, count))
                small, size = [], 0
        blobs.put_small(small, lambda count: progress.advance(1, count))
        _raise_from(large)
    finally:
        for future in large:
            future.cancel()
        wait(large)


def _raise_from(futures: Iterable[Future[None]]) -> None:
    for future in futures:
        future.result()


def _send_large(source: Castore, blobs: RemoteBlobs, node: FileNode, progress: Progress) -> None:
    with _open(source, node) as stream, blobs.open_write() as writer:
        hasher = blake3()
        while chunk := stream.read(CHUNK):
            hasher.update(chunk)
            writer.write(chunk)
            progress.advance(0, len(chunk))
        _check(node, hasher.digest())
        writer.close()
    progress.advance(1, 0)


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
