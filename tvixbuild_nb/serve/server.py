"""Server: the services of one store and one builder, listening at one address."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tvixbuild_nb.build import BuildService, state_directory
from tvixbuild_nb.castore import Castore
from tvixbuild_nb.castore.remote.connection import MAX_MESSAGE, WATCHED
from tvixbuild_nb.castore.remote.many import MANY
from tvixbuild_nb.errors import HostRefused
from tvixbuild_nb.proto import build_pb2, castore_pb2, snix_build_pb2, snix_castore_pb2
from tvixbuild_nb.serve.blobs import BlobHandlers
from tvixbuild_nb.serve.builds import BuildHandlers
from tvixbuild_nb.serve.directories import DirectoryHandlers
from tvixbuild_nb.serve.listening import Listen, Tls
from tvixbuild_nb.serve.manyblobs import ManyBlobsHandlers
from tvixbuild_nb.serve.patience import LONGEST, Patience
from tvixbuild_nb.serve.places import own_directory
from tvixbuild_nb.serve.refusals import answering_often, answering_once, taking_many

# Calls about contents that go on at once; the others wait for their turn.
_CASTORE_CALLS = 16
# Calls of one connection under way; its client keeps the others back.
_CALLS_OF_ONE = 128
# Calls of all connections, under way and waiting.
_CALLS = 16_384
# Seconds for calls that go on when the server is stopped.
_GRACE = 5.0
_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.max_concurrent_streams", _CALLS_OF_ONE),
    ("grpc.so_reuseport", 0),
    # A client counts a call as over a moment before the server does; its next one would be refused, not kept back.
    ("grpc.http.overload_protection", 0),
    # Callers whose machine went away without a word are noticed, and their builds end.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
]


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How to serve.

    tls       certificates; None speaks in the clear
    insecure  listen anywhere all the same
    max_builds  that run at once
    max_waiting  that wait for their turn; each takes a thread
    patience  seconds that a caller may take for its next message, or to take one
    ro_paths  paths of this host that builds may ask to read
    """

    tls: Tls | None = None
    insecure: bool = False
    max_builds: int = 2
    max_waiting: int = 64
    patience: float = LONGEST
    ro_paths: frozenset[str] = frozenset()


class Server:
    """Offers ``castore`` and, where there is one, ``builder`` at ``listen``; a context manager that serves.

    :class:`HostRefused` when it may not listen there, or cannot.
    """

    def __init__(
        self, listen: Listen, castore: Castore, builder: BuildService | None, options: ServerOptions | None = None
    ) -> None:
        self._options = options or ServerOptions()
        listen.check(self._options.tls, insecure=self._options.insecure)
        self._listen = listen
        self._castore = castore
        self._builder = builder
        self._stack = ExitStack()
        self.address = ""

    def __enter__(self) -> Server:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def _start(self) -> None:
        most = self._options.max_builds + self._options.max_waiting
        pool = ThreadPoolExecutor(_CASTORE_CALLS + (most if self._builder is not None else 0), "serve")
        self._stack.callback(pool.shutdown)
        server = grpc.server(pool, options=_OPTIONS, maximum_concurrent_rpcs=_CALLS)
        handlers = self._handlers(most)
        for service, methods in handlers.items():
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
        names = [*handlers, health.SERVICE_NAME, reflection.SERVICE_NAME]
        healthy = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
        reflection.enable_server_reflection(names, server)
        for name in ("", *handlers):
            healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
        self._bind(server)
        server.start()
        self._stack.callback(self._stop, server, healthy)

    def _stop(self, server: grpc.Server, healthy: health.HealthServicer) -> None:
        """Refuse what is new; who waits for a build hears that it was cancelled."""
        healthy.enter_graceful_shutdown()
        stopped = server.stop(grace=_GRACE)
        self._end_builds()
        stopped.wait()

    def _bind(self, server: grpc.Server) -> None:
        self._listen.clear()
        tls = self._options.tls
        target = self._listen.target()
        try:
            port = (
                server.add_insecure_port(target) if tls is None else server.add_secure_port(target, tls.credentials())
            )
        except RuntimeError as error:
            raise HostRefused(
                f"cannot listen there: {error}", path=target, hint="another address, or is one running already?"
            ) from error
        self._stack.callback(self._listen.leave)
        self._listen.close_to_others()
        self.address = self._listen.address(port, tls=tls is not None)

    def _handlers(self, most: int) -> dict[str, dict[str, Any]]:
        """Full name of each service -> its methods; messages come and go as bytes."""
        patience = self._stack.enter_context(Patience(self._options.patience))
        blobs, directories = BlobHandlers(self._castore), DirectoryHandlers(self._castore)
        services: dict[str, dict[str, Any]] = {}
        for namespace in (castore_pb2.DESCRIPTOR.package, snix_castore_pb2.DESCRIPTOR.package):
            services[f"{namespace}.BlobService"] = {
                "Stat": grpc.unary_unary_rpc_method_handler(answering_once(blobs.stat)),
                "Read": grpc.unary_stream_rpc_method_handler(answering_often(blobs.read, patience)),
                "Put": grpc.stream_unary_rpc_method_handler(taking_many(blobs.put, patience)),
            }
            services[f"{namespace}.DirectoryService"] = {
                "Get": grpc.unary_stream_rpc_method_handler(answering_often(directories.get, patience)),
                "Put": grpc.stream_unary_rpc_method_handler(taking_many(directories.put, patience)),
            }
        many = ManyBlobsHandlers(self._castore)
        services[MANY] = {
            "Missing": grpc.unary_unary_rpc_method_handler(answering_once(many.missing)),
            "Put": grpc.unary_unary_rpc_method_handler(answering_once(many.put)),
            "Get": grpc.unary_stream_rpc_method_handler(answering_often(many.get, patience)),
        }
        self._end_builds: Callable[[], None] = lambda: None
        if self._builder is not None:
            runs = self._stack.enter_context(own_directory(state_directory() / "serving"))
            builds = BuildHandlers(self._builder, runs, most=most, paths=self._options.ro_paths)
            self._end_builds = builds.close
            for module, handler in ((build_pb2, builds.tvix), (snix_build_pb2, builds.snix)):
                services[f"{module.DESCRIPTOR.package}.BuildService"] = {
                    "DoBuild": grpc.unary_unary_rpc_method_handler(answering_once(handler))
                }
            watched = answering_often(builds.watched, patience)
            services[WATCHED] = {"DoBuild": grpc.unary_stream_rpc_method_handler(watched)}
        return services

    def __exit__(self, *error: object) -> None:
        """Take no more calls, end builds that go on, and leave nothing."""
        self._stack.close()
