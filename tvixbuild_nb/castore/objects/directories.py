"""The DirectoryService over object storage."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator

from tvixbuild_nb.castore.closure import check_size, check_sizes
from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.encoding import decode_directory, directory_digest, encode_directory
from tvixbuild_nb.castore.nodes import Directory, DirectoryNode
from tvixbuild_nb.castore.objects.blobs import missing
from tvixbuild_nb.castore.objects.bucket import Bucket
from tvixbuild_nb.castore.objects.layout import DIRECTORIES, key
from tvixbuild_nb.castore.reading import REPAIR
from tvixbuild_nb.errors import DigestMismatch, NotFound, StoreError

_REMEMBERED_BYTES = 16 << 20


class ObjectDirectories:
    """Directories in a bucket; ``writable`` False refuses to write."""

    def __init__(self, bucket: Bucket, *, writable: bool) -> None:
        self._bucket = bucket
        self._writable = writable
        self._remembered: OrderedDict[Digest, bytes] = OrderedDict()
        self._bytes = 0
        self._mutex = threading.Lock()

    def get(self, digest: Digest) -> Directory | None:
        data = self.get_encoded(digest)
        return None if data is None else decode_directory(data)

    def get_encoded(self, digest: Digest) -> bytes | None:
        with self._mutex:
            if (known := self._remembered.get(digest)) is not None:
                self._remembered.move_to_end(digest)
                return known
        place = key(DIRECTORIES, digest)
        data = self._bucket.get(place)
        if data is not None and Digest.of(data) != digest:
            self._bucket.distrust(place)
            raise DigestMismatch(
                "the directory in the store is not what its digest says", path=str(digest), hint=REPAIR
            )
        if data is not None:
            self._remember(digest, data)
        return data

    def _remember(self, digest: Digest, data: bytes) -> None:
        """Whoever walks through a tree comes by the same directories again and again."""
        with self._mutex:
            if digest not in self._remembered:
                self._remembered[digest] = data
                self._bytes += len(data)
            while self._bytes > _REMEMBERED_BYTES:
                self._bytes -= len(self._remembered.popitem(last=False)[1])

    def missing(self, digests: Iterable[Digest]) -> set[Digest]:
        return missing(self._bucket, DIRECTORIES, digests)

    def put(self, directory: Directory) -> Digest:
        self.put_many([directory])
        return directory_digest(directory)

    def put_many(self, directories: Iterable[Directory]) -> None:
        """Store several, leaves first, those of one height at once: whoever finds one finds what is below it."""
        if not self._writable:
            raise StoreError("the store was opened read-only", path=self._bucket.address)
        fresh: dict[Digest, Directory] = {}
        heights: dict[Digest, int] = {}
        levels: list[list[Digest]] = []
        for directory in directories:
            check_sizes(directory, lambda digest: self.get(digest) if (d := fresh.get(digest)) is None else d)
            digest = directory_digest(directory)
            if digest in fresh:
                continue
            below = (node.digest for _, node in directory if isinstance(node, DirectoryNode))
            height = heights[digest] = 1 + max((heights.get(child, -1) for child in below), default=-1)
            fresh[digest] = directory
            levels.extend([] for _ in range(height + 1 - len(levels)))
            levels[height].append(digest)
        absent = self.missing(fresh)
        for level in levels:
            self._bucket.each(
                lambda digest: self._bucket.put(key(DIRECTORIES, digest), encode_directory(fresh[digest])),
                [digest for digest in level if digest in absent],
            )

    def get_closure(self, digest: Digest) -> Iterator[Directory]:
        """Breadth first, all directories of one depth at once."""
        root = self.get(digest)
        if root is None:
            return
        seen = {digest}
        level = [root]
        yield root
        while level:
            entries: dict[Digest, tuple[bytes, DirectoryNode]] = {}
            for directory in level:
                for name, node in directory:
                    if isinstance(node, DirectoryNode) and node.digest not in seen:
                        entries.setdefault(node.digest, (name, node))
            seen.update(entries)
            level = []
            for (name, node), child in zip(entries.values(), self._bucket.each(self.get, entries), strict=True):
                if child is None:
                    raise NotFound(
                        f"the store does not hold this directory, entry {name!r} of another", path=str(node.digest)
                    )
                check_size(node, child, name)
                level.append(child)
            yield from level
