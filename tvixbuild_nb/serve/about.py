"""What a server says of itself: whether it is well, and which services it has; answered whatever else goes on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from tvixbuild_nb.serve.patience import Patience
from tvixbuild_nb.serve.threads import Threads


def offer_health(services: Iterable[str], server: grpc.Server) -> health.HealthServicer:
    """``grpc.health.v1`` at ``server``, with all ``services`` well, on the server's own threads."""
    healthy = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    for name in ("", *services):
        healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
    return healthy


def offer_reflection(services: Iterable[str], server: grpc.Server, threads: Threads, patience: Patience) -> None:
    """Reflection at ``server`` that lists ``services``; its streams are often left open, so ``threads`` are its own."""
    servicer = reflection.ReflectionServicer(services)

    def answers(asked: Iterator[Any], call: grpc.ServicerContext) -> Iterator[Any]:
        yield from servicer.ServerReflectionInfo(patience.coming(asked, call, threads), call)

    method = grpc.stream_stream_rpc_method_handler(
        threads.taking(answers),
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    handlers = grpc.method_handlers_generic_handler(reflection.SERVICE_NAME, {"ServerReflectionInfo": method})
    server.add_generic_rpc_handlers((handlers,))
