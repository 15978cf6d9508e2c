"""What a handler raises becomes a gRPC status: a code and a text for anybody, the error's parts for our own client."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import grpc

from tvixbuild_nb.castore.remote.faults import code_of, details_of, metadata_of
from tvixbuild_nb.errors import RemoteError, StoreError, TvixBuildError

_LOG = logging.getLogger(__name__)


@contextmanager
def telling(call: grpc.ServicerContext) -> Iterator[None]:
    """Errors of the block end ``call`` and are told to its caller; what is a defect is logged, and not told."""
    try:
        yield
    except grpc.RpcError:
        # The caller went away: nobody is there to be told.
        raise
    except TvixBuildError as error:
        _tell(error, call)
    except OSError as error:
        _tell(StoreError(f"the server's system says: {error.strerror or type(error).__name__}"), call)
    except Exception:
        _LOG.exception("a call failed by a defect")
        _tell(RemoteError("a defect of the server; its log says which", code="INTERNAL"), call)


def _tell(error: TvixBuildError, call: grpc.ServicerContext) -> NoReturn:
    call.set_trailing_metadata(metadata_of(error))
    call.abort(getattr(grpc.StatusCode, code_of(error)), details_of(error))
