"""Contents ahead: small files are asked for many together and before their turn, where the store is quicker so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.nodes import FileNode
from tvixbuild_nb.castore.services import SMALL, BlobService, ManySmallBlobs

if TYPE_CHECKING:
    from concurrent.futures import Future

# So much is asked for at once, and so often before the first of it is used: it is what there is in memory.
_FILES = 500
_BYTES = 2 << 20
_ITEMS = 5000
_PARTS = 3
T = TypeVar("T")


def small_of(blobs: BlobService, digests: Sequence[Digest]) -> dict[Digest, bytes]:
    """The bytes of those that ``blobs`` has sooner together; the others are to be read one by one."""
    return blobs.get_small(digests) if isinstance(blobs, ManySmallBlobs) and digests else {}


def with_contents(
    blobs: BlobService, items: Iterable[T], file_of: Callable[[T], FileNode | None]
) -> Iterator[tuple[T, bytes | None]]:
    """(item, the bytes of its file), in order; None for what is no file, and for files to be read by themselves.

    ``file_of``: the file of an item. The bytes are checked; what is missing shows when it is read by itself.
    """
    if not isinstance(blobs, ManySmallBlobs):
        for item in items:
            yield item, None
        return
    from concurrent.futures import ThreadPoolExecutor  # loaded only for stores that are quicker so

    waiting: deque[tuple[list[tuple[T, FileNode | None]], Future[dict[Digest, bytes]]]] = deque()
    pool = ThreadPoolExecutor(_PARTS, "castore-ahead")
    try:
        for part in _parts(items, file_of):
            wanted = list(dict.fromkeys(file.digest for _, file in part if file is not None and file.size <= SMALL))
            waiting.append((part, pool.submit(blobs.get_small, wanted)))
            if len(waiting) >= _PARTS:
                yield from _given(*waiting.popleft())
        while waiting:
            yield from _given(*waiting.popleft())
    finally:
        # Whoever was interrupted does not wait for a store that may not answer.
        pool.shutdown(wait=False, cancel_futures=True)


def _given(
    part: list[tuple[T, FileNode | None]], found: Future[dict[Digest, bytes]]
) -> Iterator[tuple[T, bytes | None]]:
    contents = found.result()
    for item, file in part:
        yield item, None if file is None else contents.get(file.digest)


def _parts(items: Iterable[T], file_of: Callable[[T], FileNode | None]) -> Iterator[list[tuple[T, FileNode | None]]]:
    """``items`` with their files, in parts of bounded size."""
    part: list[tuple[T, FileNode | None]] = []
    count = size = 0
    for item in items:
        file = file_of(item)
        if file is not None and file.size <= SMALL:
            count, size = count + 1, size + file.size
        part.append((item, file))
        if count >= _FILES or size >= _BYTES or len(part) >= _ITEMS:
            yield part
            part, count, size = [], 0, 0
    if part:
        yield part
