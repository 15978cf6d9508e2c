"""What a handler raises becomes a gRPC status: a code and a text for anybody, the error's parts for our own client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from tvixbuild_nb.castore.remote.faults import code_of, details_of, metadata_of
from tvixbuild_nb.errors import StoreError, TvixBuildError
from tvixbuild_nb.serve.patience import Patience

if TYPE_CHECKING:
    Call = grpc.ServicerContext

One = Callable[[Any, "Call"], bytes]
Many = Callable[[Any, "Call"], Iterator[bytes]]


def answering_once(handler: One) -> One:
    """``handler``, whose errors are told."""

    def handle(asked: Any, call: Call) -> bytes:
        try:
            return handler(asked, call)
        except (TvixBuildError, OSError) as error:
            _tell(error, call)

    return handle


def taking_many(handler: One, patience: Patience) -> One:
    """``handler`` of a stream, whose errors are told; a caller that is silent for long is given up."""
    once = answering_once(handler)
    return lambda asked, call: once(patience.coming(asked, call), call)


def answering_often(handler: Many, patience: Patience) -> Many:
    """``handler``, whose errors are told; a caller that takes nothing for long is given up."""

    def handle(asked: Any, call: Call) -> Iterator[bytes]:
        try:
            yield from patience.going(handler(asked, call), call)
        except (TvixBuildError, OSError) as error:
            _tell(error, call)

    return handle


def _tell(error: TvixBuildError | OSError, call: Call) -> NoReturn:
    if isinstance(error, OSError):
        error = StoreError(f"the server's system says: {error.strerror or type(error).__name__}")
    call.set_trailing_metadata(metadata_of(error))
    call.abort(getattr(grpc.StatusCode, code_of(error)), details_of(error))
