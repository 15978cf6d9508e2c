"""Many small calls at once: so many are under way that the line is never idle, and no more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import grpc

# More gain nothing over loopback, and over a slow line a call is waited for this much less.
AT_ONCE = 64
T = TypeVar("T")


def in_window(
    items: Iterable[T], begin: Callable[[T], grpc.Future[bytes]], at_once: int = AT_ONCE
) -> Iterator[tuple[T, grpc.Future[bytes]]]:
    """(item, its call) in the order of ``items``, each call over; at most ``at_once`` are under way.

    Whoever stops asking cancels those that go on.
    """
    waiting: deque[tuple[T, grpc.Future[bytes]]] = deque()
    try:
        for item in items:
            waiting.append((item, begin(item)))
            if len(waiting) >= at_once:
                yield _over(*waiting.popleft())
        while waiting:
            yield _over(*waiting.popleft())
    finally:
        for _, call in waiting:
            call.cancel()


def _over(item: T, call: grpc.Future[bytes]) -> tuple[T, grpc.Future[bytes]]:
    call.exception()  # waits; what it is, is asked by who gets it
    return item, call
