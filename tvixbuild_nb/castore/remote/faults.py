"""Errors on the wire: what a server refuses becomes a gRPC status, and the same error again at its client.

Every status carries a code and a text, which any client understands. Ours carry the error's parts beside them, in the
trailing metadata under :data:`KEY`, so that the client can raise what was raised there. What comes in is foreign: only
errors of this package are made of it, and only of plain texts.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from tvixbuild_nb.errors import (
    Cancelled,
    CastoreError,
    DigestMismatch,
    HostRefused,
    InvalidValue,
    NotFound,
    RemoteError,
    RemoteStoreError,
    SetupFailed,
    TvixBuildError,
)

if TYPE_CHECKING:
    import grpc

KEY = "tvixbuild-nb-error-bin"
# Metadata of more than 8 KiB is refused by many; half of it may be escapes.
_LONGEST = 1500
_CODES: tuple[tuple[type[TvixBuildError], str], ...] = (
    (InvalidValue, "INVALID_ARGUMENT"),
    (NotFound, "NOT_FOUND"),
    (DigestMismatch, "DATA_LOSS"),
    (Cancelled, "CANCELLED"),
    (HostRefused, "FAILED_PRECONDITION"),
    (SetupFailed, "FAILED_PRECONDITION"),
)
_HINTS = {
    "UNAVAILABLE": "is the server running, and is this its address?",
    "UNIMPLEMENTED": "that server has no such service; a Snix has builds and contents at two addresses",
    "RESOURCE_EXHAUSTED": "the server has as much to do as it takes; try again later",
    "UNAUTHENTICATED": "TVIXBUILD_NB_TLS_CERT and TVIXBUILD_NB_TLS_KEY name a client certificate",
    "DEADLINE_EXCEEDED": "the server did not answer in time",
}
# What gRPC says of connections that do not come about, and what it is then.
_CONNECTING = {
    "CERTIFICATE_VERIFY_FAILED": "TVIXBUILD_NB_TLS_CA names the file of the authority that signed the server's "
    "certificate",
    "WRONG_VERSION_NUMBER": "that server speaks without TLS: grpc+http://",
    "Socket closed": "is the server running? One with TLS hangs up on who speaks without (grpc+https://), or shows no "
    "client certificate that it knows (TVIXBUILD_NB_TLS_CERT, TVIXBUILD_NB_TLS_KEY)",
}


def code_of(error: TvixBuildError) -> str:
    """The name of the gRPC status code that says ``error``."""
    if isinstance(error, RemoteError) and error.code is not None:
        return error.code
    return next((code for kind, code in _CODES if isinstance(error, kind)), "INTERNAL")


def details_of(error: TvixBuildError) -> str:
    """What any client shows of ``error``."""
    return str(error).encode("utf-8", "backslashreplace").decode()[: 2 * _LONGEST]


def metadata_of(error: TvixBuildError) -> tuple[tuple[str, bytes], ...]:
    """The parts of ``error``, for a client of this package."""
    parts = {
        "type": type(error).__name__,
        "message": error.message[:_LONGEST],
        "path": None if error.path is None else error.path[:_LONGEST],
        "index": error.index,
        "stage": error.stage,
        "hint": None if error.hint is None else error.hint[:_LONGEST],
    }
    return ((KEY, json.dumps({name: part for name, part in parts.items() if part is not None}).encode()),)


def error_of(call: grpc.RpcError, address: str, *, store: bool = True) -> TvixBuildError:
    """What the failed ``call`` to the service at ``address`` means: the server's own error, or a RemoteError."""
    code = _code(call)
    sent = _sent(call)
    if sent is not None:
        return sent
    details = call.details() if hasattr(call, "details") else None
    text = f"{details or 'no reason given'} ({code})"
    if code == "NOT_FOUND":
        return NotFound(text, path=address)
    kind = RemoteStoreError if store else RemoteError
    hint = next((hint for words, hint in _CONNECTING.items() if words in text), _HINTS.get(code))
    return kind(text, path=address, code=code, hint=hint)


def is_code(call: grpc.RpcError, code: str) -> bool:
    """Whether ``call`` failed with the status of that name."""
    return _code(call) == code


def _code(call: grpc.RpcError) -> str:
    return str(call.code().name) if hasattr(call, "code") and call.code() is not None else "UNKNOWN"


def _sent(call: grpc.RpcError) -> TvixBuildError | None:
    """The server's error as it was raised there; None where it sent none, or what cannot be one."""
    pairs: Any = call.trailing_metadata() if hasattr(call, "trailing_metadata") else None
    data = next((value for key, value in pairs or () if key == KEY), None)
    if data is None:
        return None
    try:
        parts: dict[str, Any] = json.loads(data)
        kind, message = _kinds()[parts.pop("type")], parts.pop("message")
        if not isinstance(message, str) or not _plain(parts):
            return None
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
    return kind(message, code=_code(call), **parts) if issubclass(kind, RemoteError) else kind(message, **parts)


@cache
def _kinds() -> dict[str, type[TvixBuildError]]:
    """The errors of this package by name."""
    found = [TvixBuildError]
    for kind in found:
        found.extend(each for each in kind.__subclasses__() if each.__module__ == TvixBuildError.__module__)
    return {kind.__name__: kind for kind in found}


def _plain(parts: dict[str, Any]) -> bool:
    kinds = {"path": str, "index": int, "stage": str, "hint": str}
    return all(name in kinds and isinstance(part, kinds[name]) for name, part in parts.items())


def missing(call: grpc.RpcError, address: str) -> CastoreError | None:
    """None when ``call`` failed since something is not there; else the error it means."""
    return None if is_code(call, "NOT_FOUND") else store_error(call, address)


def store_error(call: grpc.RpcError, path: str) -> CastoreError:
    """What the failed ``call`` about ``path`` means to whoever uses the store: whatever it was, an error of castore."""
    error = error_of(call, path)
    if isinstance(error, CastoreError):
        return error
    return RemoteStoreError(error.message, path=path, hint=error.hint, code=_code(call))
