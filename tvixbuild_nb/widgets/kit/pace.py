"""Updates at a bounded rate, from a thread of their own: a cell that waits stalls a task, but not a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

# Seconds; a server drops messages above a thousand a second, eyes stop at some twenty-five.
INTERVAL = 0.04


class Updates:
    """Calls ``step`` every ``interval`` seconds until it returns False, or :meth:`stop`.

    ``step`` must be quick and bounded; what it raises ends the updates and is kept in ``error``.
    """

    def __init__(self, step: Callable[[], bool], interval: float = INTERVAL) -> None:
        self._step = step
        self._interval = interval
        self._stopped = threading.Event()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._go, name="view updates", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more steps; returns at once."""
        self._stopped.set()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the last step; whether it came within ``timeout`` seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _go(self) -> None:
        try:
            while not self._stopped.is_set() and self._step():
                self._stopped.wait(self._interval)
        except Exception as error:
            self.error = error
