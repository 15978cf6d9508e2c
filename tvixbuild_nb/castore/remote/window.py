"""Many small calls at once: so many are under way that the line is never idle, and no more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    import grpc

# More gain nothing over loopback, and over a slow line a call is waited for this much less.
AT_ONCE = 64


class Cancellable(Protocol):
    """A call."""

    def cancel(self) -> bool: ...


T = TypeVar("T")
Call = TypeVar("Call", bound=Cancellable)


def begun_ahead(items: Iterable[T], begin: Callable[[T], Call], at_once: int = AT_ONCE) -> Iterator[tuple[T, Call]]:
    """(item, its call) in the order of ``items``; at most ``at_once`` are begun before their turn.

    Whoever stops asking cancels those that go on.
    """
    waiting: deque[tuple[T, Call]] = deque()
    try:
        for item in items:
            waiting.append((item, begin(item)))
            if len(waiting) >= at_once:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        for _, call in waiting:
            call.cancel()


def in_window(
    items: Iterable[T], begin: Callable[[T], grpc.Future[bytes]], at_once: int = AT_ONCE
) -> Iterator[tuple[T, grpc.Future[bytes]]]:
    """As :func:`begun_ahead`, each call over."""
    for item, call in begun_ahead(items, begin, at_once):
        try:
            call.exception()  # waits; what it is, is asked by who gets it
        except BaseException:
            call.cancel()
            raise
        yield item, call
