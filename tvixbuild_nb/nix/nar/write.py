"""Writing NARs: events become bytes, as Nix writes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from tvixbuild_nb.nix.hashes import NixHash
from tvixbuild_nb.nix.nar import tokens
from tvixbuild_nb.nix.nar.events import CHUNK, Enter, Event, File, Leave, Link

_DIRECTORY = tokens.DIRECTORY.data
_END = tuple(tokens.padding(length) + tokens.END.data for length in range(tokens.ALIGNMENT))
_END_ROOT = tuple(tokens.padding(length) + tokens.END_ROOT.data for length in range(tokens.ALIGNMENT))


@dataclass(frozen=True, slots=True)
class NarSum:
    """What Nix knows a NAR by: the SHA-256 of its bytes, and how many they are."""

    hash: NixHash
    size: int


def nar_chunks(events: Iterable[Event]) -> Iterator[bytes | memoryview]:
    """The NAR of what ``events`` tell, in pieces of about 1 MiB; each is valid until the next but one is asked for."""
    parts: list[bytes] = []
    held = depth = 0
    for event in events:
        if depth:
            name = b"" if isinstance(event, Leave) else event.name
            head = tokens.ENTRY.data + tokens.string(name) + tokens.NODE.data
            ends = _END
        else:
            head, ends = tokens.START.data, _END_ROOT
        if isinstance(event, File):
            kind = tokens.EXECUTABLE.data if event.executable else tokens.REGULAR.data
            parts += (head, kind, event.size.to_bytes(8, "little"))
            if isinstance(event.data, bytes):
                parts.append(event.data)
                held += event.size
            else:
                yield b"".join(parts)
                yield from event.data
                parts, held = [], 0
            parts.append(ends[event.size % tokens.ALIGNMENT])
        elif isinstance(event, Enter):
            parts += (head, _DIRECTORY)
            depth += 1
        elif isinstance(event, Link):
            target = event.target
            parts += (head, tokens.SYMLINK.data, len(target).to_bytes(8, "little"), target)
            parts.append(ends[len(target) % tokens.ALIGNMENT])
        else:
            depth -= 1
            parts.append(_END[0] if depth else _END_ROOT[0])
        # Tokens weigh as much as the contents of small files.
        held += 200
        if held >= CHUNK:
            yield b"".join(parts)
            parts, held = [], 0
    yield b"".join(parts)


def nar_sum(chunks: Iterable[bytes | memoryview]) -> NarSum:
    """Hash and size of the NAR in ``chunks``, which may be lent; hashing goes on beside their making."""
    with Summing() as summing:
        for chunk in chunks:
            summing.update(chunk)
        return summing.result()


class Summing:
    """SHA-256 and length of what :meth:`update` is given, computed in a thread; a context manager."""

    def __init__(self) -> None:
        self._hasher = hashlib.sha256()
        self._size = 0
        self._thread: ThreadPoolExecutor | None = None
        self._last: Future[None] | None = None

    def __enter__(self) -> Summing:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._thread.shutdown()

    def update(self, data: bytes | memoryview) -> None:
        """Take ``data``, which must stay as it is until the next call returns."""
        self._wait()
        self._size += len(data)
        if len(data) < CHUNK // 4:  # not worth a thread
            self._hasher.update(data)
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "nar-hash")
        self._last = self._thread.submit(self._hasher.update, data)

    def result(self) -> NarSum:
        """What came so far."""
        self._wait()
        return NarSum(NixHash("sha256", self._hasher.digest()), self._size)

    def _wait(self) -> None:
        last, self._last = self._last, None
        if last is not None:
            last.result()
