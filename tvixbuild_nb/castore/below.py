"""What takes a walk: one value for everything below a directory, in steps, each directory and file looked at once."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from tvixbuild_nb.castore.castore import Castore
from tvixbuild_nb.castore.digest import Digest
from tvixbuild_nb.castore.nodes import DirectoryNode, FileNode, Node, SymlinkNode
from tvixbuild_nb.castore.refscan import Scanner
from tvixbuild_nb.errors import NotFound

Value = TypeVar("Value")

MAX_REMEMBERED = 500_000
CHUNK = 256 * 1024


class Below(ABC, Generic[Value]):
    """Values of nodes, those of directories made of their entries'; remembered by digest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Digest, Value] = {}
        self._works: dict[Digest, Iterator[None]] = {}

    @abstractmethod
    def known(self, node: Node) -> Value | None:
        """The value, when it takes no walk; else None."""

    @abstractmethod
    def _join(self, values: Iterable[Value]) -> Value:
        """The value of a directory of entries that have these."""

    @abstractmethod
    def _read(self, castore: Castore, node: FileNode) -> Iterator[None]:
        """Find a file's value out and remember it, in steps."""

    def step(self, castore: Castore, node: Node, seconds: float) -> Value | None:
        """Go on for so long; the value, or None when there is more to do.

        Raises :class:`NotFound` for what the store lacks, and what reading a damaged store raises.
        """
        with self._lock:
            found = self.known(node)
            if found is not None or isinstance(node, SymlinkNode):
                return found
            if len(self._known) > MAX_REMEMBERED:
                self._known.clear()
                self._works.clear()
            work = self._works.setdefault(node.digest, self._work(castore, node))
            deadline = time.monotonic() + seconds
            try:
                for _ in work:
                    if time.monotonic() > deadline:
                        return None
            except BaseException:
                del self._works[node.digest]
                raise
            del self._works[node.digest]
            return self.known(node)

    def _work(self, castore: Castore, node: FileNode | DirectoryNode) -> Iterator[None]:
        todo: list[FileNode | DirectoryNode] = [node]
        while todo:
            node = todo[-1]
            if self.known(node) is not None:
                todo.pop()
            elif isinstance(node, FileNode):
                yield from self._read(castore, node)
            else:
                directory = castore.directories.get(node.digest)
                if directory is None:
                    raise NotFound("the store does not hold this directory", path=str(node.digest))
                values: list[Value] = []
                unknown: list[FileNode | DirectoryNode] = []
                for entry in directory.entries.values():
                    value = self.known(entry)
                    if value is not None:
                        values.append(value)
                    elif not isinstance(entry, SymlinkNode):
                        unknown.append(entry)
                if unknown:
                    todo.extend(unknown)
                else:
                    self._known[node.digest] = self._join(values)
                    todo.pop()
            yield


class Totals(Below[int]):
    """Bytes of all files below directories."""

    def known(self, node: Node) -> int | None:
        if isinstance(node, DirectoryNode):
            return 0 if node.size == 0 else self._known.get(node.digest)
        return node.size if isinstance(node, FileNode) else 0

    def _join(self, values: Iterable[int]) -> int:
        return sum(values)

    def _read(self, castore: Castore, node: FileNode) -> Iterator[None]:
        raise AssertionError("a file says its size")


class Needles(Below[frozenset[int]]):
    """Which of ``needles`` (by index) occur in files' contents and symlinks' targets, as at ingest.

    ``looked_at``: bytes read so far.
    """

    def __init__(self, needles: Sequence[bytes]) -> None:
        super().__init__()
        self._needles = tuple(needles)
        self._spare: list[Scanner] = []
        self.looked_at = 0

    def known(self, node: Node) -> frozenset[int] | None:
        if isinstance(node, SymlinkNode):
            return frozenset(index for index, needle in enumerate(self._needles) if needle in node.target)
        return frozenset() if node.size == 0 or not self._needles else self._known.get(node.digest)

    def _join(self, values: Iterable[frozenset[int]]) -> frozenset[int]:
        return frozenset().union(*values)

    def _read(self, castore: Castore, node: FileNode) -> Iterator[None]:
        stream = castore.blobs.open_read(node.digest)
        if stream is None:
            raise NotFound("the store does not hold these contents", path=str(node.digest))
        # One that found nothing is as good as new. Most files hold nothing, and making one takes time.
        scanner = self._spare.pop() if self._spare else Scanner(self._needles)
        seen = scanner.stream()
        with stream:
            while chunk := stream.read(CHUNK):
                self.looked_at += len(chunk)
                seen.feed(chunk)
                yield
        self._known[node.digest] = scanner.found
        if not scanner.found:
            self._spare.append(scanner)
