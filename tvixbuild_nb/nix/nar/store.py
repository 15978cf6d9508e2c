"""From NAR to castore: files are stored while the NAR streams, directories when all of it was right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext

from tvixbuild_nb.castore import (
    Batch,
    Castore,
    Directory,
    DirectoryNode,
    FileNode,
    Ingested,
    Node,
    Progress,
    SymlinkNode,
)
from tvixbuild_nb.castore.intake import Intake
from tvixbuild_nb.castore.progress import Shown
from tvixbuild_nb.castore.refscan import Scanner
from tvixbuild_nb.nix.nar.events import Enter, Event, File, Link
from tvixbuild_nb.nix.nar.read import ByteSource, nar_events


def ingest_nar(
    castore: Castore,
    stream: ByteSource,
    *,
    path: str | None = None,
    needles: Sequence[bytes] = (),
    progress: Progress | None = None,
) -> Ingested:
    """Store what the NAR in ``stream`` holds, and say which ``needles`` occur in it, as an ingest of a path does.

    :class:`InvalidNar` with the offset for anything Nix would not have written; the store then shows nothing of it.
    ``stream`` is read to its end; what its ``read`` raises there still prevents the storing.
    """
    return ingest_events(castore, nar_events(stream, path=path), needles=needles, progress=progress)


def ingest_events(
    castore: Castore, events: Iterable[Event], *, needles: Sequence[bytes] = (), progress: Progress | None = None
) -> Ingested:
    """Store the tree that ``events`` tell of, all of it or nothing."""
    scanner = Scanner(needles)
    shown: AbstractContextManager[Progress] = Shown("ingest") if progress is None else nullcontext(progress)
    with shown as progress, castore.batch() as batch:
        with Intake(batch, scanner, progress) as intake:
            node = _Sink(batch, intake, scanner, progress).take(events)
        batch.commit(node)
    return Ingested(node, scanner.found)


class _Sink:
    def __init__(self, batch: Batch, intake: Intake, scanner: Scanner, progress: Progress) -> None:
        self._batch = batch
        self._intake = intake
        self._scanner = scanner
        self._progress = progress

    def take(self, events: Iterable[Event]) -> Node:
        root: dict[bytes, Node] = {}
        open_directories: list[tuple[bytes, dict[bytes, Node]]] = [(b"", root)]
        for event in events:
            if isinstance(event, Enter):
                open_directories.append((event.name, {}))
                continue
            if isinstance(event, File):
                name, node = event.name, self._file(event)
            elif isinstance(event, Link):
                self._scanner.scan(event.target)
                name, node = event.name, SymlinkNode(event.target)
            else:
                name, entries = open_directories.pop()
                directory = Directory(entries)
                node = DirectoryNode(self._batch.put_directory(directory), directory.size)
            open_directories[-1][1][name] = node
        return root[b""]

    def _file(self, event: File) -> Node:
        if isinstance(event.data, bytes):
            return self._intake.small(event.data, event.executable)
        stream = self._scanner.stream()
        with self._batch.open_write() as writer:
            for piece in event.pieces():
                writer.lend(piece)
                stream.feed(piece)
                self._progress.advance(0, len(piece))
            digest = writer.close()
        self._progress.advance(1, 0)
        return FileNode(digest, event.size, event.executable)
