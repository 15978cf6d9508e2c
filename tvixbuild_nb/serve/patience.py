"""Patience: calls whose callers neither send nor take anything for long are ended, since each holds a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import grpc

# Seconds without a message.
LONGEST = 120.0


class Patience:
    """Watches the calls that wait for their callers; a context manager, in which a thread looks at them.

    ``longest``: seconds that a caller may take for its next message, or to take one.
    """

    def __init__(self, longest: float = LONGEST) -> None:
        self._longest = longest
        self._since: dict[grpc.ServicerContext, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="serve-patience", daemon=True)

    def __enter__(self) -> Patience:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def coming(self, messages: Iterator[bytes], call: grpc.ServicerContext) -> Iterator[bytes]:
        """``messages`` as the caller sends them."""
        while True:
            self._since[call] = time.monotonic()
            try:
                message = next(messages, None)
            finally:
                self._since.pop(call, None)
            if message is None:
                return
            yield message

    def going(self, messages: Iterator[bytes], call: grpc.ServicerContext) -> Iterator[bytes]:
        """``messages`` as the caller takes them."""
        for message in messages:
            self._since[call] = time.monotonic()
            try:
                yield message
            finally:
                self._since.pop(call, None)

    def _look(self) -> None:
        while not self._over.wait(min(self._longest / 4, 10.0)):
            latest = time.monotonic() - self._longest
            for call, since in list(self._since.items()):
                if since < latest:
                    call.cancel()
