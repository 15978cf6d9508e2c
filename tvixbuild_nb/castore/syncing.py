"""Sync: what one store holds copied to another, exactly what is missing there, many at once."""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from blake3 import blake3

from tvixbuild_nb.castore.ahead import small_of
from tvixbuild_nb.castore.castore import Castore, open_castore
from tvixbuild_nb.castore.closure import CHUNK, below, check_size, order_of
from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.encoding import directory_digest
from tvixbuild_nb.castore.nodes import Directory, DirectoryNode, FileNode, Node
from tvixbuild_nb.castore.progress import Progress, Shown
from tvixbuild_nb.castore.services import WholeClosures
from tvixbuild_nb.errors import Cancelled, DigestMismatch, NoStore, NotFound, StoreError

# Directories and the directories below each: of a whole store they fit into memory, their messages need not.
Below = dict[Digest, tuple[Digest, ...]]
Item = TypeVar("Item")
Answer = TypeVar("Answer")

# Copying waits for the network or the disk; each worker has at most a group of small blobs in memory.
_WORKERS = 12
_AHEAD = 8 * _WORKERS
_LARGE_AT_ONCE = 3
_GROUP = 32
_GROUP_BYTES = 4 << 20
_DIRECTORIES = 2000


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync copied (or, with ``dry_run``, would copy), and what was there already; ``bytes`` are of blobs."""

    blobs: int
    directories: int
    bytes: int
    blobs_there: int
    directories_there: int


def sync(
    source: Castore | str,
    target: Castore | str,
    roots: Iterable[Node] | None = None,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> SyncReport:
    """Copy what ``source`` holds and ``target`` lacks: all of it, or what ``roots`` reach.

    Stores are given open, or by address; ``dry_run`` only tells, and makes no store. Blobs come first, directories
    after all they hold: an interrupted sync leaves no directory without its contents, and the next one goes on where it
    stopped. Everything is checked against its digest on the way (:class:`DigestMismatch`). :class:`NotFound` when
    neither store holds something that a root reaches, :class:`StoreError` when ``source`` cannot list what it holds and
    no roots are given. ``roots`` stay safe from gc for the life of this process.
    """
    shown: AbstractContextManager[Progress] = Shown("sync") if progress is None else nullcontext(progress)
    with ExitStack() as stack:
        src = source if isinstance(source, Castore) else stack.enter_context(open_castore(source, read_only=True))
        dst = target if isinstance(target, Castore) else stack.enter_context(_target(target, dry_run))
        pool = ThreadPoolExecutor(_WORKERS, "castore-sync")
        stack.callback(pool.shutdown, cancel_futures=True)
        # Before that: whoever is interrupted does not wait for a store that may not answer, nor for large blobs.
        (src, end_src), (dst, end_dst) = src.endable(), dst.endable()
        work = _Sync(src, dst, pool, stack.enter_context(shown))
        for end in (end_src, end_dst, work.end):
            stack.callback(end)
        if roots is None:
            return work.all(dry_run)
        return work.reached(list(roots), dry_run)


def _target(address: str, dry_run: bool) -> Castore:
    try:
        return open_castore(address, read_only=dry_run)
    except NoStore:
        # What would be copied into a store that is still to be made: all.
        return open_castore("memory:")


class _Sync:
    """One sync under way."""

    def __init__(self, src: Castore, dst: Castore, pool: ThreadPoolExecutor, progress: Progress) -> None:
        self._src = src
        self._dst = dst
        self._pool = pool
        self._progress = progress
        self._over = threading.Event()
        self._large = threading.BoundedSemaphore(_LARGE_AT_ONCE)

    def all(self, dry_run: bool) -> SyncReport:
        found = self._src.everything()
        if found is None:
            raise StoreError(
                "this store cannot list what it holds",
                path=self._src.address,
                hint="name the roots whose closures are to be copied",
            )
        digests, blobs = map(set, found)
        absent = self._dst.missing_directories(digests)
        fresh = dict(zip(absent, self._each(lambda digest: below(self._directory(digest)), absent), strict=True))
        return self._copy(blobs, {}, fresh, len(digests) - len(absent), (), dry_run)

    def reached(self, roots: Sequence[Node], dry_run: bool) -> SyncReport:
        sizes: dict[Digest, int] = {}
        known: Below = {}
        level: dict[Digest, tuple[bytes, DirectoryNode]] = {}
        seen: set[Digest] = set()

        def take(name: bytes, node: Node) -> None:
            if isinstance(node, FileNode):
                sizes[node.digest] = node.size
            elif isinstance(node, DirectoryNode) and node.digest not in seen:
                seen.add(node.digest)
                level[node.digest] = (name, node)

        for root in roots:
            self._src.expect(root)
            take(b"", root)
        while level:
            asked, level = level, {}
            for (name, node), directory in zip(asked.values(), self._each(self._directory, asked), strict=True):
                check_size(node, directory, name)
                known[node.digest] = below(directory)
                for entry in directory:
                    take(*entry)
        absent = self._dst.missing_directories(known)
        fresh = {digest: children for digest, children in known.items() if digest in absent}
        return self._copy(set(sizes), sizes, fresh, len(known) - len(fresh), roots, dry_run)

    def _directory(self, digest: Digest) -> Directory:
        directory = self._src.directories.get(digest)
        if directory is None:
            # A store need not hold all that its directories name; what is there already is not asked of it.
            directory = self._dst.directories.get(digest)
        if directory is None:
            raise NotFound("neither store holds this directory", path=str(digest))
        if directory_digest(directory) != digest:
            raise DigestMismatch("the store sent another directory", path=str(digest))
        return directory

    def _copy(
        self,
        blobs: set[Digest],
        sizes: dict[Digest, int],
        fresh: Below,
        directories_there: int,
        roots: Sequence[Node],
        dry_run: bool,
    ) -> SyncReport:
        if dry_run:
            absent = self._dst.blobs.missing(blobs)
            known = self._each(lambda digest: sizes.get(digest) or self._src.blobs.size(digest) or 0, absent)
            return SyncReport(len(absent), len(fresh), sum(known), len(blobs) - len(absent), directories_there)
        # What it stores or finds present stays while it is open, whoever collects garbage beside it.
        with self._dst.batch() as keeping:
            absent = keeping.missing(blobs)
            # In an order that mixes large ones, of which few go at once, with small ones.
            total = sum(self._each(self._copy_blobs, _groups(sorted(absent), sizes)))
            self._put(fresh)
            keeping.commit(*roots)
        self._dst.sync()
        return SyncReport(len(absent), len(fresh), total, len(blobs) - len(absent), directories_there)

    def _put(self, fresh: Below) -> None:
        """Store directories that are missing, none before those it holds."""
        service = self._dst.directories
        if isinstance(service, WholeClosures):
            held = {digest for children in fresh.values() for digest in children}
            for root in fresh.keys() - held:
                service.put_closure(root, self._directory)
            return
        ordered = iter(order_of(fresh))
        while part := list(islice(ordered, _DIRECTORIES)):
            service.put_many(list(self._each(self._directory, part)))

    def _copy_blobs(self, digests: Sequence[Digest]) -> int:
        """Copy a few blobs; what is done is seen at once, so that another sync need not do it again. The bytes."""
        total, held = 0, 0
        small: list[tuple[Digest, bytes]] = []
        together = small_of(self._src.blobs, digests)
        with self._dst.batch() as batch:
            for digest in digests:
                self._go_on()
                found = together.pop(digest, None)
                stream = self._src.blobs.open_read(digest) if found is None else io.BytesIO(found)
                if stream is None:
                    raise NotFound("the store does not hold this blob", path=str(digest))
                with stream:
                    data = stream.read(CHUNK)
                    rest = stream.read(CHUNK) if len(data) == CHUNK else b""
                    if rest:
                        total += self._copy_large(digest, data, rest, stream.read)
                        continue
                _check(digest, blake3(data).digest())
                small.append((digest, data))
                held += len(data)
                total += len(data)
                self._progress.advance(1, len(data))
                if held >= _GROUP_BYTES:
                    batch.put_blobs(small)
                    small, held = [], 0
            batch.put_blobs(small)
            batch.commit()
        return total

    def _copy_large(self, digest: Digest, data: bytes, rest: bytes, read: Callable[[int], bytes]) -> int:
        size = 0
        hasher = blake3()
        with self._large, self._dst.blobs.open_write() as writer:
            while data:
                self._go_on()
                hasher.update(data)
                writer.write(data)
                size += len(data)
                self._progress.advance(0, len(data))
                data, rest = rest or read(CHUNK), b""
            # Before close, so that wrong bytes do not enter the target even under their own digest.
            _check(digest, hasher.digest())
            writer.close()
        self._progress.advance(1, 0)
        return size

    def _each(self, function: Callable[[Item], Answer], items: Iterable[Item]) -> Iterator[Answer]:
        """The answers in order, some begun ahead; after an error nothing more is begun, and it is raised."""
        waiting: deque[Future[Answer]] = deque()
        try:
            for item in items:
                waiting.append(self._pool.submit(function, item))
                if len(waiting) >= _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def end(self) -> None:
        """What still goes on in threads of its own ends at its next step."""
        self._over.set()

    def _go_on(self) -> None:
        if self._over.is_set():
            raise Cancelled("the copying was ended")


def _groups(order: Sequence[Digest], sizes: dict[Digest, int]) -> Iterator[list[Digest]]:
    """``order`` in groups of few and not too large blobs."""
    group: list[Digest] = []
    held = 0
    for digest in order:
        group.append(digest)
        held += sizes.get(digest, 0)
        if len(group) == _GROUP or held >= _GROUP_BYTES:
            yield group
            group, held = [], 0
    if group:
        yield group


def _check(digest: Digest, found: bytes) -> None:
    if found != digest:
        raise DigestMismatch(f"the bytes have digest {found.hex()}", path=str(digest))
