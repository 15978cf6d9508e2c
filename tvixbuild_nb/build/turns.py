"""Turns: at most so many builds at once, the others in the order in which they came."""

from __future__ import annotations

import threading
from collections import deque

from tvixbuild_nb.build.service import CancelToken


class Turns:
    """``count`` turns for any number of threads; who waits longest is next."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[threading.Event] = deque()
        self._lock = threading.Lock()

    def take_free(self) -> bool:
        """Take a turn where nobody has to wait for it; whether there was one."""
        with self._lock:
            if not self._free or self._waiting:
                return False
            self._free -= 1
            return True

    def take(self, cancel: CancelToken) -> None:
        """Wait for a turn; :class:`Cancelled` when ``cancel`` is asked for meanwhile."""
        mine = threading.Event()
        with self._lock:
            if self._free and not self._waiting:
                self._free -= 1
                return
            self._waiting.append(mine)
        with cancel.heard_by(mine.set):
            mine.wait()
        with self._lock:
            if mine in self._waiting:
                # Woken by the cancellation, not by a turn.
                self._waiting.remove(mine)
                cancel.check()

    def give_back(self) -> None:
        """End a turn; the next one's begins."""
        with self._lock:
            self._pass_on()

    def _pass_on(self) -> None:
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self._free += 1
