"""Patience: a caller may take its time as long as there are threads; where they are short, who is idle makes room.

An honest caller can be silent for long: a Snix client opens its stream of directories at the first one and sends
their blobs beside it, over another connection; who pages through a file reads on when somebody turns the page.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import TypeVar

import grpc

from tvixbuild_nb.serve.threads import Threads

# Seconds without a message after which a call may be given up.
LONGEST = 30.0
_LOOK = 1.0

T = TypeVar("T")


class Patience:
    """Watches the calls that wait for their callers; a context manager, in which a thread looks at them.

    As many calls as wait for threads are ended, among those of the same kind whose callers have neither sent nor taken
    anything for ``longest`` seconds, the longest idle first. Their callers are told why.
    """

    def __init__(self, longest: float = LONGEST) -> None:
        self._longest = longest
        self._idle: dict[grpc.ServicerContext, tuple[float, Threads]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="serve-patience", daemon=True)

    def __enter__(self) -> Patience:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def coming(self, messages: Iterator[T], call: grpc.ServicerContext, threads: Threads) -> Iterator[T]:
        """``messages`` as the caller sends them."""
        while True:
            self._idle[call] = time.monotonic(), threads
            try:
                message = next(messages, None)
            finally:
                self._idle.pop(call, None)
            if message is None:
                return
            yield message

    def going(self, messages: Iterator[T], call: grpc.ServicerContext, threads: Threads) -> Iterator[T]:
        """``messages`` as the caller takes them."""
        for message in messages:
            self._idle[call] = time.monotonic(), threads
            try:
                yield message
            finally:
                self._idle.pop(call, None)

    def _look(self) -> None:
        while not self._over.wait(min(self._longest / 4, _LOOK)):
            latest = time.monotonic() - self._longest
            wanted: dict[Threads, int] = {}
            for call, (since, threads) in sorted(self._idle.copy().items(), key=lambda item: item[1][0]):
                if since > latest:
                    break
                if wanted.setdefault(threads, threads.waiting) > 0:
                    wanted[threads] -= 1
                    _give_up(call, threads.kind, time.monotonic() - since)


def _give_up(call: grpc.ServicerContext, kind: str, seconds: float) -> None:
    text = f"others wait for a thread, and this call did nothing for {seconds:.0f} s: begin it again ({kind})"
    event = getattr(call, "_rpc_event", None)
    if event is None:
        call.cancel()
    else:
        # From another thread gRPC ends a call with a text only here; its cancel() says nothing to the caller.
        event.call.cancel(grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], text)
