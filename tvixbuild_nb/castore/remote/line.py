"""Line: what calls go over; one whose calls end together when somebody asks for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

from tvixbuild_nb.castore.remote.address import RemoteAddress

if TYPE_CHECKING:
    import grpc


class Line(Protocol):
    """What the services at another address are called over: a Connection, or an EndingLine over one."""

    @property
    def address(self) -> RemoteAddress: ...
    @property
    def patience(self) -> float | None:
        """Seconds for a call that asks for little; None: as long as it takes."""
        ...

    @property
    def rpc_error(self) -> type[grpc.RpcError]: ...
    @property
    def pool(self) -> ThreadPoolExecutor: ...
    def call(self, kind: str, method: str) -> Any: ...
    def castore_method(self, service: str, method: str) -> str: ...
    def services(self) -> frozenset[str] | None: ...
    def checked(self, run: Callable[[], Any]) -> Any: ...
    def close(self) -> None: ...


class EndingLine:
    """A Line over ``line`` for one piece of work: :meth:`end` cancels its calls, also those begun afterwards.

    They have no deadline, since whoever waits for them can end them; of a peer that is gone the connection itself
    hears. Closing it ends them, and leaves ``line`` open.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._calls: set[Any] = set()
        self._over = threading.Event()

    patience: float | None = None

    @property
    def address(self) -> RemoteAddress:
        return self._line.address

    @property
    def rpc_error(self) -> type[grpc.RpcError]:
        return self._line.rpc_error

    @property
    def pool(self) -> ThreadPoolExecutor:
        return self._line.pool

    def call(self, kind: str, method: str) -> Any:
        made = self._line.call(kind, method)
        return _Unary(self, made) if kind.endswith("unary") else _Streaming(self, made)

    def castore_method(self, service: str, method: str) -> str:
        return self._line.castore_method(service, method)

    def services(self) -> frozenset[str] | None:
        return self._line.services()

    def checked(self, run: Callable[[], Any]) -> Any:
        return self._line.checked(run)

    def begun(self, call: Any) -> Any:
        """``call``, which ends with the others from now on."""
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        # Whoever ended the others in between did not see this one.
        if self._over.is_set():
            call.cancel()
        return call

    def end(self) -> None:
        """Cancel what is under way and what will be; from any thread, also several times."""
        self._over.set()
        for call in list(self._calls):
            call.cancel()

    def close(self) -> None:
        self.end()


class _Streaming:
    """A method whose answer is a stream."""

    def __init__(self, line: EndingLine, made: Any) -> None:
        self._line = line
        self._made = made

    def __call__(self, request: Any, timeout: float | None = None) -> Any:
        return self._line.begun(self._made(request, timeout=timeout))


class _Unary:
    """A method whose answer is one message, called and waited for, or as a future."""

    def __init__(self, line: EndingLine, made: Any) -> None:
        self._line = line
        self._made = made

    def __call__(self, request: Any, timeout: float | None = None) -> Any:
        return self.future(request, timeout=timeout).result()

    def future(self, request: Any, timeout: float | None = None) -> Any:
        return self._line.begun(self._made.future(request, timeout=timeout))
