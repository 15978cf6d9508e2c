"""Connection: one gRPC channel to one address, and what is spoken there."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, Self

from tvixbuild_nb.castore.remote.address import RemoteAddress
from tvixbuild_nb.castore.remote.faults import error_of, is_code
from tvixbuild_nb.errors import Cancelled, HostRefused, InvalidAddress, RemoteError

if TYPE_CHECKING:
    import grpc

_VERBOSITY = "GRPC_VERBOSITY"

# Snix first: who speaks both is asked in the younger one's words.
NAMESPACES = ("snix", "tvix")
WATCHED = "tvixbuild_nb.v1.WatchedBuildService"
CA_VARIABLE, CERT_VARIABLE, KEY_VARIABLE = "TVIXBUILD_NB_TLS_CA", "TVIXBUILD_NB_TLS_CERT", "TVIXBUILD_NB_TLS_KEY"

# What Tvix and Snix take in one message, less some room for the message around it.
MESSAGE = 4 << 20
CHUNK = 1 << 20
# What is taken: a directory of some hundred thousand entries is one message.
MAX_MESSAGE = 32 << 20
# Seconds for a call that asks for little.
PATIENCE = 30.0
# Seconds for a channel to close; what it still does then goes on beside.
_CLOSING = 1.0
_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    # A peer whose machine went away without a word is noticed, also while a build is silent.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # Channels that were opened for the same address stay independent: closing one closes one.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.http2.lookahead_bytes", 4 << 20),
]


class Answers(Protocol):
    """A call whose answers are a stream of messages."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> bytes: ...
    def cancel(self) -> bool: ...


def load_grpc() -> Any:
    """The module grpc; :class:`HostRefused` says how to have it where it is not installed."""
    try:
        with _quietly():
            import grpc
    except ImportError as error:
        raise HostRefused(f"gRPC is not installed: {error}", hint="pip install 'tvixbuild-nb[remote]'") from error
    return grpc


@contextmanager
def _quietly() -> Iterator[None]:
    """While it is loaded gRPC reads how much it is to say on stderr, where nobody asked it: only what went wrong."""
    if _VERBOSITY in os.environ:
        yield
        return
    os.environ[_VERBOSITY] = "ERROR"
    try:
        yield
    finally:
        del os.environ[_VERBOSITY]


class Connection:
    """A channel to the service at ``address``; made on the first call, safe for several threads.

    Which services are there is found out once: by reflection where the server has it, else by trying.
    """

    # Calls that ask for little; nobody else ends those.
    patience: float | None = PATIENCE

    def __init__(self, address: str) -> None:
        self.address = RemoteAddress.parse(address)
        self._grpc = load_grpc()
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._calls: dict[tuple[str, str], Any] = {}
        self._listed: frozenset[str] | None = None
        self._no_reflection = False
        self._namespaces: dict[str, str] = {}
        self._pool: ThreadPoolExecutor | None = None

    @property
    def channel(self) -> grpc.Channel:
        with self._lock:
            return self._open()

    def _open(self) -> grpc.Channel:
        if self._channel is None:
            target = self.address.target
            self._channel = (
                self._grpc.secure_channel(target, self._credentials(), _OPTIONS)
                if self.address.tls
                else self._grpc.insecure_channel(target, _OPTIONS)
            )
        return self._channel

    def _credentials(self) -> grpc.ChannelCredentials:
        ca, cert, key = (_file_in(name) for name in (CA_VARIABLE, CERT_VARIABLE, KEY_VARIABLE))
        if (cert is None) != (key is None):
            raise InvalidAddress(f"a certificate and its key belong together: {CERT_VARIABLE}, {KEY_VARIABLE}")
        made: grpc.ChannelCredentials = self._grpc.ssl_channel_credentials(ca, key, cert)
        return made

    @property
    def pool(self) -> ThreadPoolExecutor:
        """Threads for what goes on beside its caller."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(4, "castore-remote")
            return self._pool

    def call(self, kind: str, method: str) -> Any:
        """The callable of ``method`` (``/package.Service/Method``), bytes to bytes; ``kind`` as grpc names it."""
        with self._lock:
            found = self._calls.get((kind, method))
            if found is None:
                # Two channels may do for one method: a stream of one message is what a single message is.
                found = self._calls[kind, method] = getattr(self._open(), kind)(method)
            return found

    # -- what is spoken there ---------------------------------------------------------------------

    def castore_method(self, service: str, method: str) -> str:
        """The full name of a method of the castore service ``service``, in the namespace that the server speaks."""
        return f"/{self._namespace('castore', service)}.castore.v1.{service}/{method}"

    def build_namespaces(self) -> tuple[str, ...]:
        """The namespaces whose build service the server may have, the one to try first first."""
        listed = self.services()
        if listed is None:
            return NAMESPACES
        return tuple(name for name in NAMESPACES if f"{name}.build.v1.BuildService" in listed)

    @property
    def watched(self) -> bool:
        """Whether builds there can be watched: reflection lists our own service."""
        return WATCHED in (self.services() or ())

    def _namespace(self, package: str, service: str) -> str:
        if (known := self._namespaces.get(service)) is not None:
            return known
        listed = self.services()
        if listed is not None:
            fitting = [name for name in NAMESPACES if f"{name}.{package}.v1.{service}" in listed]
        else:
            probe = f"{package}.v1.{service}/{_PROBES[service]}"
            fitting = [name for name in NAMESPACES if self._answers(f"/{name}.{probe}")]
        if not fitting:
            raise RemoteError(
                f"there is no {service} here, neither Snix's nor Tvix's", path=self.address.text, code="UNIMPLEMENTED",
                hint="a Snix has builds and contents at two addresses: builder_store= names the one of the contents",
            )  # fmt: skip
        self._namespaces[service] = fitting[0]
        return fitting[0]

    def _answers(self, method: str) -> bool:
        """Whether the method is there: what it is asked for exists nowhere, so any answer but one will do."""
        try:
            for _ in self.call("unary_stream", method)(_NOWHERE, timeout=PATIENCE):
                break
        except self._grpc.RpcError as error:
            if is_code(error, "UNIMPLEMENTED"):
                return False
            if not is_code(error, "NOT_FOUND"):
                raise error_of(error, self.address.text) from None
        return True

    def services(self) -> frozenset[str] | None:
        """The names of all services there, as reflection lists them; None where there is no reflection.

        :class:`RemoteError` when nobody answers at all.
        """
        if self._listed is None and not self._no_reflection:
            try:
                self._listed = frozenset(self._reflected())
            except self._grpc.RpcError as error:
                if not is_code(error, "UNIMPLEMENTED"):
                    raise error_of(error, self.address.text) from None
                self._no_reflection = True
        return self._listed

    def _reflected(self) -> Iterator[str]:
        from grpc_reflection.v1alpha import reflection_pb2

        question = reflection_pb2.ServerReflectionRequest(list_services="")
        method = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        for data in self.call("stream_stream", method)(iter([question.SerializeToString()]), timeout=PATIENCE):
            answer = reflection_pb2.ServerReflectionResponse.FromString(data)
            for service in answer.list_services_response.service:
                yield service.name

    def checked(self, run: Callable[[], Any]) -> Any:
        """What ``run`` gives; an error of gRPC becomes ours, :class:`Cancelled` where this side ended the call."""
        try:
            return run()
        except self._grpc.FutureCancelledError:
            raise Cancelled("the call was ended", path=self.address.text) from None
        except self._grpc.RpcError as error:
            raise error_of(error, self.address.text) from None

    @property
    def rpc_error(self) -> type[grpc.RpcError]:
        """What gRPC's calls raise."""
        kind: type[grpc.RpcError] = self._grpc.RpcError
        return kind

    def close(self) -> None:
        """End what goes on, and the channel."""
        with self._lock:
            channel, self._channel = self._channel, None
            pool, self._pool = self._pool, None
            self._calls.clear()
        if channel is not None:
            # Cancels all calls, and then waits for what is just being written: for a peer that takes nothing, until
            # keepalive gives it up.
            closing = threading.Thread(target=channel.close, name="grpc-close", daemon=True)
            closing.start()
            closing.join(_CLOSING)
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)


_PROBES = {"BlobService": "Stat", "DirectoryService": "Get"}
# A StatBlobRequest, and a GetDirectoryRequest, of a digest that nothing has.
_NOWHERE = b"\x0a\x20" + bytes(32)


def _file_in(variable: str) -> bytes | None:
    path = os.environ.get(variable)
    if not path:
        return None
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise InvalidAddress(f"{variable}: {error.strerror}", path=path) from error
