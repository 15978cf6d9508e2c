"""Castore content as two members of a record: directories as canonical messages, leaves first, and blobs by digest."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from blake3 import blake3

from tvixbuild_nb.build.records.hiding import Hiding
from tvixbuild_nb.castore import Castore, Digest, Directory, DirectoryNode, FileNode, Node, encode_directory
from tvixbuild_nb.castore.closure import leaves_first
from tvixbuild_nb.castore.encoding import decode_directory, directory_digest
from tvixbuild_nb.castore.services import Batch
from tvixbuild_nb.errors import DigestMismatch, InvalidNode, InvalidValue, NotFound

# Each directory: bytes of its message, the message. Each blob: digest, bytes of its contents, the contents.
_LENGTH = struct.Struct(">I")
_BLOB = struct.Struct(">32sQ")
_CHUNK = 1 << 20
_LARGEST_DIRECTORY = 32 << 20


@dataclass(frozen=True, slots=True)
class Gathered:
    """What some nodes reach in a store: directories leaves first, blobs sorted by digest with their sizes."""

    directories: Sequence[Directory]
    blobs: Sequence[tuple[Digest, int]]

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(size for _, size in self.blobs)


def gathered(castore: Castore, nodes: Iterable[Node]) -> Gathered:
    """All that ``nodes`` reach; :class:`NotFound` names what the store has no more."""
    directories: dict[Digest, Directory] = {}
    blobs: dict[Digest, int] = {}
    for node in nodes:
        if isinstance(node, DirectoryNode):
            order = leaves_first(node.digest, castore.directories.get)
            if not order:
                raise NotFound("the store does not hold this directory any more", path=str(node.digest))
            for directory in order:
                directories.setdefault(directory_digest(directory), directory)
                blobs.update((each.digest, each.size) for _, each in directory if isinstance(each, FileNode))
        elif isinstance(node, FileNode):
            blobs[node.digest] = node.size
    return Gathered(tuple(directories.values()), tuple(sorted(blobs.items())))


def directory_pieces(content: Gathered, hiding: Hiding) -> Iterator[bytes]:
    """The member with the directories; :class:`InvalidValue` where a name or a target holds a secret."""
    for directory in content.directories:
        for name, node in directory:
            hiding.refuse(name, "the name of a file")
            hiding.node(node, f"the symlink {name.decode('utf-8', 'replace')!r}")
        message = encode_directory(directory)
        yield _LENGTH.pack(len(message)) + message


def blob_pieces(content: Gathered, castore: Castore, hiding: Hiding) -> Iterator[bytes]:
    """The member with the blobs, in pieces; :class:`InvalidValue` where one holds a secret."""
    overlap = max(0, hiding.redactor.longest_bytes - 1)
    for digest, size in content.blobs:
        stream = castore.blobs.open_read(digest)
        if stream is None:
            raise NotFound("the store does not hold this blob any more", path=str(digest))
        yield _BLOB.pack(digest, size)
        before = b""
        with stream:
            while chunk := stream.read(_CHUNK):
                if hiding.redactor:
                    hiding.refuse(before + chunk, f"the file of digest {digest}")
                    before = (before + chunk)[-overlap:] if overlap else b""
                yield chunk


def take_content(directories: BinaryIO, blobs: BinaryIO, roots: Sequence[Node], batch: Batch) -> tuple[int, int]:
    """Put both members into a store, when they are exactly what ``roots`` reach; how many directories and blobs.

    :class:`InvalidValue` (or one of its kind) for a directory that is not canonical, comes before what it holds, or
    is reached by nothing, and for a blob that is missing, out of order or another one than its digest says. Nothing of
    a member is held in memory but its directories' digests.
    """
    wanted, count = _take_directories(directories, roots, batch)
    _take_blobs(blobs, wanted, batch)
    return count, len(wanted)


def _take_directories(stream: BinaryIO, roots: Sequence[Node], batch: Batch) -> tuple[dict[Digest, int], int]:
    sizes: dict[Digest, int] = {}
    unreached: set[Digest] = set()
    wanted: dict[Digest, int] = {}
    while head := stream.read(_LENGTH.size):
        [length] = _LENGTH.unpack(_whole(head, _LENGTH.size))
        if length > _LARGEST_DIRECTORY:
            raise InvalidNode(f"a directory of {length} bytes")
        directory = decode_directory(_exactly(stream, length))
        digest = directory_digest(directory)
        if digest in sizes:
            raise InvalidNode("a directory stands twice", path=str(digest))
        for name, node in directory:
            _reach(node, sizes, unreached, wanted, repr(name))
        sizes[digest] = directory.size
        unreached.add(digest)
        batch.put_directory(directory)
    for number, root in enumerate(roots):
        _reach(root, sizes, unreached, wanted, f"root {number}")
    if unreached:
        raise InvalidNode("nothing reaches this directory", path=str(min(unreached)))
    return wanted, len(sizes)


def _reach(node: Node, sizes: dict[Digest, int], unreached: set[Digest], wanted: dict[Digest, int], what: str) -> None:
    if isinstance(node, DirectoryNode):
        if node.digest not in sizes:
            raise InvalidNode(f"the directory of {what} does not come before it", path=str(node.digest))
        if sizes[node.digest] != node.size:
            raise InvalidNode(f"the directory of {what} has another size", path=str(node.digest))
        unreached.discard(node.digest)
    elif isinstance(node, FileNode) and wanted.setdefault(node.digest, node.size) != node.size:
        raise InvalidNode(f"{what} has another size than elsewhere", path=str(node.digest))


def _take_blobs(stream: BinaryIO, wanted: dict[Digest, int], batch: Batch) -> None:
    before: Digest | None = None
    count = 0
    while head := stream.read(_BLOB.size):
        raw, size = _BLOB.unpack(_whole(head, _BLOB.size))
        digest = Digest(raw)
        if before is not None and not before < digest:
            raise InvalidValue("blobs are sorted by digest, each once", path=str(digest))
        if wanted.get(digest) != size:
            raise InvalidValue(f"nothing has a blob of {size} bytes with this digest", path=str(digest))
        _take_blob(stream, digest, size, batch)
        before = digest
        count += 1
    if count != len(wanted):
        raise InvalidValue(f"{len(wanted) - count} blobs are missing")


def _take_blob(stream: BinaryIO, digest: Digest, size: int, batch: Batch) -> None:
    hasher, left = blake3(), size
    with batch.open_write() as writer:
        while left:
            chunk = _exactly(stream, min(left, _CHUNK))
            hasher.update(chunk)
            writer.write(chunk)
            left -= len(chunk)
        if hasher.digest() != digest:
            # Leaving the block by an exception forgets what was written.
            raise DigestMismatch(f"the bytes have digest {hasher.hexdigest()}", path=str(digest))


def _exactly(stream: BinaryIO, size: int) -> bytes:
    return _whole(stream.read(size) if size else b"", size)


def _whole(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise InvalidValue("it ends too early")
    return data
