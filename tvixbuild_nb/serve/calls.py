"""Calls: handlers of one kind as gRPC's, with threads of their own; what they raise is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc

from tvixbuild_nb.serve.patience import Patience
from tvixbuild_nb.serve.refusals import telling
from tvixbuild_nb.serve.threads import Threads

One = Callable[[Any, grpc.ServicerContext], bytes]
Many = Callable[[Any, grpc.ServicerContext], Iterator[bytes]]


class Calls:
    """Calls that run on ``threads``; messages come and go as bytes. Idle callers are known to ``patience``."""

    def __init__(self, threads: Threads, patience: Patience) -> None:
        self._threads = threads
        self._patience = patience

    def once(self, handler: One) -> grpc.RpcMethodHandler[bytes, bytes]:
        """One message is answered with one."""
        return grpc.unary_unary_rpc_method_handler(self._threads.taking(_told(handler)))

    def taking(self, handler: One) -> grpc.RpcMethodHandler[bytes, bytes]:
        """A stream of messages is answered with one."""
        told = _told(handler)

        def handle(asked: Iterator[bytes], call: grpc.ServicerContext) -> bytes:
            return told(self._patience.coming(asked, call, self._threads), call)

        return grpc.stream_unary_rpc_method_handler(self._threads.taking(handle))

    def often(self, handler: Many) -> grpc.RpcMethodHandler[bytes, bytes]:
        """One message is answered with a stream."""

        def handle(asked: bytes, call: grpc.ServicerContext) -> Iterator[bytes]:
            with telling(call):
                yield from self._patience.going(handler(asked, call), call, self._threads)

        return grpc.unary_stream_rpc_method_handler(self._threads.taking(handle))


def _told(handler: One) -> One:
    def handle(asked: Any, call: grpc.ServicerContext) -> bytes:
        with telling(call):
            return handler(asked, call)

    return handle
