"""Threads: those of one kind of calls, so that no kind can take those of another; they tell how many calls wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Threads(ThreadPoolExecutor):
    """At most ``count`` threads for the calls of one ``kind``; they start as they are needed.

    A ThreadPoolExecutor, since gRPC takes a handler's own threads as nothing else.
    """

    def __init__(self, kind: str, count: int) -> None:
        super().__init__(count, f"serve-{kind}")
        self.kind = kind
        self.waiting = 0
        self._lock = threading.Lock()

    def taking(self, handler: Any) -> Any:
        """``handler``, whose calls gRPC runs on these threads."""
        handler.experimental_thread_pool = self
        return handler

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run ``fn`` as soon as a thread is free; until then it counts as ``waiting``."""
        self._count(1)

        def begin() -> T:
            self._count(-1)
            return fn(*args, **kwargs)

        return super().submit(begin)

    def _count(self, change: int) -> None:
        with self._lock:
            self.waiting += change
