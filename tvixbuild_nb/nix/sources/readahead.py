"""Pieces made in a thread of their own, a few ahead of who reads them."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from queue import Empty, Queue
from types import TracebackType
from typing import Self

_AHEAD = 8
_LOOK_SECONDS = 0.1


class ReadAhead:
    """A byte stream over ``pieces``, which a thread asks for; what they raise, :meth:`read` raises.

    A context manager: when it ends, so does the thread.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self._queue: Queue[bytes | BaseException | None] = Queue(_AHEAD)
        self._stopped = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._run, name="nar-ahead", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=_LOOK_SECONDS)
            except Empty:
                continue
        self._thread.join()

    def _run(self) -> None:
        try:
            for piece in self._pieces:
                self._queue.put(piece)
                if self._stopped.is_set():
                    return
            self._queue.put(None)
        except BaseException as error:  # whatever it is belongs to the reader
            self._queue.put(error)

    def read(self, size: int, /) -> bytes:
        """The next piece, of any length, whatever ``size`` is; nothing at the end."""
        if self._over:
            return b""
        found = self._queue.get()
        if isinstance(found, BaseException):
            self._over = True
            raise found
        self._over = found is None
        return found or b""
