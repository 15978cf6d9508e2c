"""What a node reaches: closures of directories, what of them is missing, and copying them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from blake3 import blake3

from tvixbuild_nb.castore.ahead import with_contents
from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.encoding import directory_digest
from tvixbuild_nb.castore.nodes import Directory, DirectoryNode, FileNode, Node
from tvixbuild_nb.castore.progress import Progress, Silent
from tvixbuild_nb.castore.services import Batch, BlobService
from tvixbuild_nb.errors import DigestMismatch, InvalidNode, NotFound

if TYPE_CHECKING:
    from tvixbuild_nb.castore.castore import Castore

GetDirectory = Callable[[Digest], Directory | None]

CHUNK = 1 << 20


def check_sizes(directory: Directory, get: GetDirectory) -> None:
    """Refuse (:class:`InvalidNode`) a child directory whose size is not what the known child has.

    Children the store does not hold are passed over: they cannot be judged.
    """
    for name, node in directory:
        if isinstance(node, DirectoryNode) and (child := get(node.digest)) is not None:
            check_size(node, child, name)


def check_size(node: DirectoryNode, child: Directory, name: bytes) -> None:
    """Refuse (:class:`InvalidNode`) a node, an entry called ``name``, that gives ``child`` another size than it has."""
    if child.size != node.size:
        raise InvalidNode(
            f"wrong size {node.size} for directory {node.digest}: it is {child.size}",
            path=name,
            hint="the size is twice the number of entries below, at any depth",
        )


def walk_closure(digest: Digest, get: GetDirectory) -> Iterator[Directory]:
    """The directory and all below it, breadth first, each once; nothing when the root is unknown.

    :class:`NotFound` when one below the root is missing, :class:`InvalidNode` when a size is wrong.
    """
    root = get(digest)
    if root is None:
        return
    yield root
    seen = {digest}
    queue = deque([root])
    while queue:
        for name, node in queue.popleft():
            if not isinstance(node, DirectoryNode) or node.digest in seen:
                continue
            child = get(node.digest)
            if child is None:
                raise NotFound(
                    f"the store does not hold this directory, entry {name!r} of another", path=str(node.digest)
                )
            check_size(node, child, name)
            seen.add(node.digest)
            queue.append(child)
            yield child


def reachable(roots: Iterable[Node], get: GetDirectory) -> tuple[set[Digest], set[Digest]]:
    """(directories, blobs) that ``roots`` reach; missing directories end the walk there."""
    directories: set[Digest] = set()
    blobs: set[Digest] = set()
    stack: list[Node] = list(roots)
    while stack:
        node = stack.pop()
        if isinstance(node, FileNode):
            blobs.add(node.digest)
        elif isinstance(node, DirectoryNode) and node.digest not in directories:
            directories.add(node.digest)
            directory = get(node.digest)
            if directory is not None:
                stack.extend(directory.entries.values())
    return directories, blobs


def missing(castore: Castore, node: Node) -> list[Digest]:
    """Digests below (and of) ``node`` that the store does not hold, sorted; empty when it is complete."""
    absent: set[Digest] = set()

    def get(digest: Digest) -> Directory | None:
        directory = castore.directories.get(digest)
        if directory is None:
            absent.add(digest)
        return directory

    _, blobs = reachable([node], get)
    return sorted(absent | castore.blobs.missing(blobs))


def leaves_first(digest: Digest, get: GetDirectory) -> list[Directory]:
    """The closure of ``digest``, each directory once and after all it holds; raises as :func:`walk_closure`."""
    return in_order({directory_digest(directory): directory for directory in walk_closure(digest, get)})


def in_order(known: Mapping[Digest, Directory]) -> list[Directory]:
    """All of ``known``, each directory after those it holds as far as they are among them."""
    return [known[digest] for digest in order_of({digest: below(directory) for digest, directory in known.items()})]


def below(directory: Directory) -> tuple[Digest, ...]:
    """The digests of the directories directly below."""
    return tuple(node.digest for node in directory.entries.values() if isinstance(node, DirectoryNode))


def order_of(children: Mapping[Digest, Sequence[Digest]]) -> list[Digest]:
    """All of ``children``, each after what it is mapped to as far as that is among them."""
    order: list[Digest] = []
    done: set[Digest] = set()
    stack = [(digest, False) for digest in children]
    while stack:
        current, children_done = stack.pop()
        if current in done:
            continue
        if children_done:
            done.add(current)
            order.append(current)
            continue
        stack.append((current, True))
        stack.extend((child, False) for child in children[current] if child in children)
    return order


def of_either(src: Castore, dst: Castore, digest: Digest) -> Directory | None:
    """The directory that one of the two stores holds."""
    directory = src.directories.get(digest)
    # An empty directory is false, and there all the same.
    return dst.directories.get(digest) if directory is None else directory


def copy_closure(src: Castore, dst: Castore, node: Node, progress: Progress | None = None) -> None:
    """Copy ``node`` and all it reaches from ``src`` to ``dst``, only what ``dst`` lacks, streaming.

    Every blob is checked against its digest on the way (:class:`DigestMismatch`).  :class:`NotFound`
    when both lack something; ``dst`` then shows no part of the copy.  ``progress`` is told of blobs and their bytes,
    and may end it by what it raises.
    """
    told = progress or Silent()

    def get(digest: Digest) -> Directory | None:
        told.advance()
        return of_either(src, dst, digest)

    with dst.batch() as batch:
        files: dict[Digest, FileNode] = {}
        if isinstance(node, FileNode):
            files[node.digest] = node
        elif isinstance(node, DirectoryNode):
            src.expect(node)
            order = leaves_first(node.digest, get)
            if not order:
                raise NotFound("neither store holds this directory", path=str(node.digest))
            check_size(node, order[-1], b"")
            for directory in order:
                files.update(
                    (child.digest, child) for child in directory.entries.values() if isinstance(child, FileNode)
                )
                batch.put_directory(directory)
        absent = (files[digest] for digest in sorted(batch.missing(files)))
        together: list[tuple[Digest, bytes]] = []
        held = 0
        for file, data in with_contents(src.blobs, absent, lambda file: file):
            if data is None:
                copy_blob(src.blobs, batch, file.digest, told)
                continue
            together.append((file.digest, data))
            told.advance(1, len(data))
            held += len(data)
            if held >= CHUNK:
                batch.put_blobs(together)
                together, held = [], 0
        batch.put_blobs(together)
        batch.commit(node)


def copy_blob(src: BlobService, dst: BlobService | Batch, digest: Digest, progress: Progress | None = None) -> None:
    """Stream one blob from ``src`` to ``dst``; :class:`NotFound`, or :class:`DigestMismatch` and nothing stored."""
    stream = src.open_read(digest)
    if stream is None:
        raise NotFound("the store does not hold this blob", path=str(digest))
    with stream, dst.open_write() as writer:
        hasher = blake3()
        while chunk := stream.read(CHUNK):
            hasher.update(chunk)
            writer.write(chunk)
            if progress is not None:
                progress.advance(0, len(chunk))
        # Before close, so that wrong bytes do not enter dst even under their own digest.
        if hasher.digest() != digest:
            raise DigestMismatch(f"the bytes have digest {hasher.hexdigest()}", path=str(digest))
        writer.close()
    if progress is not None:
        progress.advance(1)
