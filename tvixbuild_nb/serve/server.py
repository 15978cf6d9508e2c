"""Server: the services of one store and one builder, listening at one address."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection

from tvixbuild_nb.build import BuildService, OCIBuildService, state_directory
from tvixbuild_nb.build.turns import Turns
from tvixbuild_nb.castore import Castore
from tvixbuild_nb.castore.remote.connection import MAX_MESSAGE, WATCHED
from tvixbuild_nb.castore.remote.many import MANY
from tvixbuild_nb.errors import HostRefused, InvalidValue
from tvixbuild_nb.proto import build_pb2, castore_pb2, snix_build_pb2, snix_castore_pb2
from tvixbuild_nb.serve.about import offer_health, offer_reflection
from tvixbuild_nb.serve.blobs import BlobHandlers
from tvixbuild_nb.serve.builds import BuildHandlers
from tvixbuild_nb.serve.calls import Calls
from tvixbuild_nb.serve.directories import DirectoryHandlers
from tvixbuild_nb.serve.listening import Listen, Tls
from tvixbuild_nb.serve.manyblobs import ManyBlobsHandlers
from tvixbuild_nb.serve.patience import LONGEST, Patience
from tvixbuild_nb.serve.places import own_directory
from tvixbuild_nb.serve.threads import Threads

# Calls of each kind that go on at once; the others wait for their turn. What waits for its caller most of the time, a
# file that somebody has open, a closure whose blobs come first, holds nothing but its thread, and takes none of another
# kind.
_HEALTH, _REFLECTION, _QUESTIONS, _READS, _PUTS, _CLOSURES, _CLOSURE_PUTS = 4, 8, 16, 96, 48, 32, 128
# Beside those that build or wait for their turn: who is refused, and who has not yet taken the end of a build.
_BUILDS_BESIDE = 8
# Calls of one connection under way; its client keeps the others back. More than there are threads for idle ones of a
# kind, so that those cannot keep back all that a client has to ask.
_CALLS_OF_ONE = 256
# Calls of all connections, under way and waiting.
_CALLS = 16_384
# Seconds for calls that go on when the server is stopped.
_GRACE = 5.0
_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.max_concurrent_streams", _CALLS_OF_ONE),
    ("grpc.so_reuseport", 0),
    # From a thousand calls on that nobody has looked at yet gRPC would cancel some of them, without a word.
    ("grpc.server.max_pending_requests", _CALLS),
    ("grpc.server.max_pending_requests_hard_limit", _CALLS),
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
    patience  seconds that a caller may take for its next message, or to take one, when others wait for its thread
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

    :class:`HostRefused` when it may not listen there, or cannot; :class:`InvalidValue` for a builder with a store of
    its own: it would look for the inputs there, where none of this server's callers brought them.
    """

    def __init__(
        self, listen: Listen, castore: Castore, builder: BuildService | None, options: ServerOptions | None = None
    ) -> None:
        self._options = options or ServerOptions()
        listen.check(self._options.tls, insecure=self._options.insecure)
        if builder is not None and builder.castore is not castore:
            raise InvalidValue(
                f"{builder.address} builds from its own store, {builder.castore.address}, not from {castore.address}",
                path="builder", hint="callers can use that builder directly, by its own address",
            )  # fmt: skip
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
        patience = self._stack.enter_context(Patience(self._options.patience))
        server = grpc.server(self._threads("health", _HEALTH), options=_OPTIONS, maximum_concurrent_rpcs=_CALLS)
        handlers = self._handlers(patience)
        for service, methods in handlers.items():
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
        healthy = offer_health(handlers, server)
        names = [*handlers, health.SERVICE_NAME, reflection.SERVICE_NAME]
        offer_reflection(names, server, self._threads("reflection", _REFLECTION), patience)
        self._bind(server)
        server.start()
        self._stack.callback(self._stop, server, healthy)

    def _threads(self, kind: str, count: int) -> Threads:
        threads = Threads(kind, count)
        self._stack.callback(threads.shutdown)
        return threads

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

    def _handlers(self, patience: Patience) -> dict[str, dict[str, Any]]:
        """Full name of each service -> its methods."""

        def calls(kind: str, count: int) -> Calls:
            return Calls(self._threads(kind, count), patience)

        questions, reads, puts = calls("questions", _QUESTIONS), calls("reads", _READS), calls("puts", _PUTS)
        closures, closure_puts = calls("closures", _CLOSURES), calls("closure puts", _CLOSURE_PUTS)
        blobs, directories = BlobHandlers(self._castore), DirectoryHandlers(self._castore)
        many = ManyBlobsHandlers(self._castore)
        services: dict[str, dict[str, Any]] = {}
        for namespace in (castore_pb2.DESCRIPTOR.package, snix_castore_pb2.DESCRIPTOR.package):
            services[f"{namespace}.BlobService"] = {
                "Stat": questions.once(blobs.stat),
                "Read": reads.often(blobs.read),
                "Put": puts.taking(blobs.put),
            }
            services[f"{namespace}.DirectoryService"] = {
                "Get": closures.often(directories.get),
                "Put": closure_puts.taking(directories.put),
            }
        services[MANY] = {
            "Missing": questions.once(many.missing),
            "Put": puts.once(many.put),
            "Get": closures.often(many.get),
        }
        self._end_builds: Callable[[], None] = lambda: None
        if self._builder is not None:
            services |= self._build_services(self._builder, calls)
        return services

    def _build_services(self, builder: BuildService, calls: Callable[[str, int], Calls]) -> dict[str, dict[str, Any]]:
        runs = self._stack.enter_context(own_directory(state_directory() / "serving"))
        most = self._options.max_builds + self._options.max_waiting
        # Builds on this host wait for their turn themselves, and tell that they do.
        turns = None if isinstance(builder, OCIBuildService) else Turns(self._options.max_builds)
        builds = BuildHandlers(builder, runs, most=most, turns=turns, paths=self._options.ro_paths)
        self._end_builds = builds.close
        building = calls("builds", most + _BUILDS_BESIDE)
        return {
            f"{build_pb2.DESCRIPTOR.package}.BuildService": {"DoBuild": building.once(builds.tvix)},
            f"{snix_build_pb2.DESCRIPTOR.package}.BuildService": {"DoBuild": building.once(builds.snix)},
            WATCHED: {"DoBuild": building.often(builds.watched)},
        }

    def __exit__(self, *error: object) -> None:
        """Take no more calls, end builds that go on, and leave nothing."""
        self._stack.close()
