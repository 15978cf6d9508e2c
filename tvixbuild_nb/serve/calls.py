"""Calls: handlers of one kind as gRPC's, with threads of their own; what they raise is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc

from tvixbuild_nb.errors import RemoteError
from tvixbuild_nb.serve.patience import Patience
from tvixbuild_nb.serve.refusals import telling
from tvixbuild_nb.serve.threads import Threads

One = Callable[[Any, grpc.ServicerContext], bytes]
Many = Callable[[Any, grpc.ServicerContext], Iterator[bytes]]


class Calls:
    """Calls that run on ``threads``; messages come and go as bytes. Idle callers are known to ``patience``.

    To gRPC all of them take streams, which on the wire is the same: waiting for a single message it would do itself,
    where nobody sees that a caller sends none.
    """

    def __init__(self, threads: Threads, patience: Patience) -> None:
        self._threads = threads
        self._patience = patience

    def once(self, handler: One) -> grpc.RpcMethodHandler[bytes, bytes]:
        """One message is answered with one."""
        return self.taking(lambda messages, call: handler(_first(messages), call))

    def taking(self, handler: One) -> grpc.RpcMethodHandler[bytes, bytes]:
        """A stream of messages is answered with one."""

        def handle(asked: Iterator[bytes], call: grpc.ServicerContext) -> bytes:
            with telling(call):
                return handler(self._patience.coming(asked, call, self._threads), call)

        return grpc.stream_unary_rpc_method_handler(self._threads.taking(handle))

    def often(self, handler: Many) -> grpc.RpcMethodHandler[bytes, bytes]:
        """One message is answered with a stream."""

        def handle(asked: Iterator[bytes], call: grpc.ServicerContext) -> Iterator[bytes]:
            with telling(call):
                message = _first(self._patience.coming(asked, call, self._threads))
                yield from self._patience.going(handler(message, call), call, self._threads)

        return grpc.stream_stream_rpc_method_handler(self._threads.taking(handle))


def _first(messages: Iterator[bytes]) -> bytes:
    for message in messages:
        return message
    raise RemoteError("the call has no message", code="INVALID_ARGUMENT")
