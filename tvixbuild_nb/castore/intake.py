"""The way of file contents into a batch: small ones many at a time, large ones streamed, both beside the walk."""

from __future__ import annotations

import mmap
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle
from threading import BoundedSemaphore
from types import TracebackType
from typing import Self

from blake3 import blake3

from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.holes import Holes, zeros
from tvixbuild_nb.castore.nodes import FileNode
from tvixbuild_nb.castore.progress import Progress
from tvixbuild_nb.castore.refscan import Scanner
from tvixbuild_nb.castore.services import Batch

# Files below this are read whole by the walk. Less, and handing files to threads costs more than they spare:
# with 128 KiB the walk waited for the interpreter's lock as long as it read (/usr/share again: 2.0 s instead of 1.5 s).
SMALL = 1 << 20
# Two of these fit into a processor's own cache: 4 MiB took three times as long.
CHUNK = 1 << 20
_BATCH_BYTES = 4 << 20
# While nothing had to be written yet: what is let go after every look stays in the processor's cache.
_ASK_BYTES = 1 << 20
_BATCH_COUNT = 2000
_BATCHES_WAITING = 3
_LARGE_AT_ONCE = max(2, min(4, os.cpu_count() or 1))


class Intake:
    """Takes file contents, makes FileNodes of them, and stores what ``batch`` lacks; a context manager.

    Threads start only when there is enough to do.  An error of a thread is raised by the next call or at
    the end of the block.
    """

    def __init__(self, batch: Batch, scanner: Scanner, progress: Progress) -> None:
        self._batch = batch
        self._scanner = scanner
        self._scanning = scanner.any  # a call for every file is felt
        self._progress = progress
        self._small: list[tuple[Digest, bytes]] = []
        self._small_bytes = 0
        self._enough_bytes = _ASK_BYTES
        self._writer: ThreadPoolExecutor | None = None
        self._hashers: ThreadPoolExecutor | None = None
        self._waiting: deque[Future[None]] = deque()
        self._slots = BoundedSemaphore(_LARGE_AT_ONCE + 2)
        self._buffers: list[tuple[mmap.mmap, mmap.mmap]] = []  # not in use now: fresh ones cost as much as the reading

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            for pool in (self._hashers, self._writer):
                if pool is not None:
                    pool.shutdown(wait=True, cancel_futures=True)

    def small(self, data: bytes, executable: bool) -> FileNode:
        """A whole file of few bytes."""
        digest, size = Digest.of(data), len(data)
        if self._scanning:
            self._scanner.scan(data)
        self._small.append((digest, data))
        self._small_bytes += size
        if self._small_bytes >= self._enough_bytes or len(self._small) >= _BATCH_COUNT:
            self._hand_over()
        return FileNode(digest, size, executable)

    def large(self, fd: int, size: int, executable: bool) -> Future[FileNode]:
        """An open regular file of about ``size`` bytes, read from its start in a thread, which closes ``fd``."""
        if self._hashers is None:
            self._hashers = ThreadPoolExecutor(_LARGE_AT_ONCE, "castore-hash")
        self._slots.acquire()
        future = self._hashers.submit(self._read_large, fd, size, executable)
        future.add_done_callback(lambda done: self._release(fd, done))
        return future

    def _release(self, fd: int, future: Future[FileNode]) -> None:
        self._slots.release()
        os.close(fd)

    def _read_large(self, fd: int, size: int, executable: bool) -> FileNode:
        # Two in turn, since the writer still has one while the next is read; fresh memory for each chunk
        # would cost more than the copying. Mapped, because that is aligned to pages: the kernel's copying
        # into and out of a bytearray takes twice as long (1 GiB: 1.0 s instead of 0.5 s).
        try:
            buffers = self._buffers.pop()
        except IndexError:
            buffers = (mmap.mmap(-1, CHUNK), mmap.mmap(-1, CHUNK))
        try:
            return self._store_large(fd, size, executable, buffers)
        finally:
            self._buffers.append(buffers)

    def _store_large(self, fd: int, size: int, executable: bool, buffers: tuple[mmap.mmap, mmap.mmap]) -> FileNode:
        chunks = _chunks(fd, buffers)
        if self._batch.may_hold(size):
            # Perhaps it is there already: find out before a copy is written.
            hasher = blake3()
            stream, total = self._scanner.stream(), 0
            for chunk in chunks:
                hasher.update(chunk)
                stream.feed(chunk)
                total += len(chunk)
                # Nothing is done yet; but who wants to end this is asked.
                self._progress.advance()
            digest = Digest(hasher.digest())
            if not self._batch.missing([digest]):
                self._progress.advance(1, total)
                return FileNode(digest, total, executable)
            chunks = _chunks(fd, buffers)
        # The digest is of the very bytes that are written, so a file that changes meanwhile does no harm.
        stream, total = self._scanner.stream(), 0
        with self._batch.open_write() as writer:
            for chunk in chunks:
                writer.lend(chunk)
                stream.feed(chunk)
                total += len(chunk)
                self._progress.advance(0, len(chunk))
            digest = writer.close()
        self._progress.advance(1, 0)
        return FileNode(digest, total, executable)

    def _hand_over(self) -> None:
        """Give the collected small files to the writing thread; waits when it is too far behind."""
        if self._writer is None:
            # As long as all is there already nobody needs a thread, and asking beside the walk costs more than asking.
            if not self._batch.missing(digest for digest, _ in self._small):
                self._done()
                return
            self._writer = ThreadPoolExecutor(1, "castore-write")
            self._enough_bytes = _BATCH_BYTES
        while len(self._waiting) >= _BATCHES_WAITING:
            self._waiting.popleft().result()
        self._waiting.append(self._writer.submit(self._put, self._small, self._small_bytes))
        self._small, self._small_bytes = [], 0

    def _done(self) -> None:
        self._progress.advance(len(self._small), self._small_bytes)
        self._small, self._small_bytes = [], 0

    def _put(self, blobs: list[tuple[Digest, bytes]], size: int) -> None:
        self._batch.put_blobs(blobs)
        self._progress.advance(len(blobs), size)

    def finish(self) -> None:
        """Return when everything handed in is stored."""
        if self._small:
            self._put(self._small, self._small_bytes) if self._writer is None else self._hand_over()
            self._small, self._small_bytes = [], 0
        while self._waiting:
            self._waiting.popleft().result()


def _chunks(fd: int, buffers: tuple[mmap.mmap, mmap.mmap]) -> Iterator[memoryview]:
    """A file from its start, a piece at a time, each valid until the next but one; holes come as zeros, unread."""
    holes, position = Holes(fd), 0
    for buffer in cycle(buffers):
        if holes.length_at(position) >= CHUNK:
            yield zeros(CHUNK)
            position += CHUNK
            continue
        count = os.preadv(fd, [buffer], position)
        if not count:
            return
        yield memoryview(buffer)[:count]
        position += count
