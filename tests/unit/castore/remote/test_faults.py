"""Errors go through a status and come back as they were; nothing else can be made of what comes in."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest

from tvixbuild_nb.castore.remote.faults import KEY, code_of, details_of, error_of, metadata_of
from tvixbuild_nb.errors import (
    BuildFailed,
    Cancelled,
    DigestMismatch,
    HostRefused,
    InvalidNode,
    InvalidRequest,
    NotFound,
    RemoteError,
    RemoteStoreError,
    StoreError,
    TvixBuildError,
)


class Failed(grpc.RpcError):
    """A call that failed."""

    def __init__(self, code: str, details: str = "why", trailing: Any = ()) -> None:
        self.code = lambda: getattr(grpc.StatusCode, code)
        self.details = lambda: details
        self.trailing_metadata = lambda: trailing


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidRequest("m", path="outputs", index=3, hint="h"), "INVALID_ARGUMENT"),
        (InvalidNode("m", path="directories", index=0), "INVALID_ARGUMENT"),
        (NotFound("m", path="00ff", stage="request"), "NOT_FOUND"),
        (DigestMismatch("m"), "DATA_LOSS"),
        (HostRefused("m", hint="h"), "FAILED_PRECONDITION"),
        (Cancelled("m"), "CANCELLED"),
        (BuildFailed("m"), "INTERNAL"),
        (StoreError("m", path=b"/\xff"), "INTERNAL"),
        (RemoteError("m", code="RESOURCE_EXHAUSTED"), "RESOURCE_EXHAUSTED"),
    ],
)
def test_there_and_back(error: TvixBuildError, code: str) -> None:
    assert code_of(error) == code
    back = error_of(Failed(code, details_of(error), metadata_of(error)), "grpc+http://x")
    assert type(back) is type(error)
    parts = ("message", "path", "index", "stage", "hint")
    assert [getattr(back, part) for part in parts] == [getattr(error, part) for part in parts]


def test_long_ones_are_cut() -> None:
    error = InvalidRequest("\u20ac" * 100_000, path="p" * 100_000, hint="h" * 100_000)
    assert sum(len(value) for _, value in metadata_of(error)) < 16_000 and len(details_of(error)) < 8000


@pytest.mark.parametrize(
    "sent",
    [
        b"garbage", b"[]", b"{}", json.dumps({"type": "os"}).encode(), json.dumps({"type": "SystemExit"}).encode(),
        json.dumps({"type": "NotFound", "message": 3}).encode(),
        json.dumps({"type": "NotFound", "message": "m", "index": "x"}).encode(),
        json.dumps({"type": "NotFound", "message": "m", "run": "x"}).encode(),
        json.dumps({"type": "annotations", "message": "m"}).encode(),
    ],
)  # fmt: skip
def test_what_is_no_error_is_not_made_one(sent: bytes) -> None:
    back = error_of(Failed("INTERNAL", "why", ((KEY, sent),)), "grpc+http://x")
    assert type(back) is RemoteStoreError and "why" in back.message and back.code == "INTERNAL"


def test_those_of_others() -> None:
    assert type(error_of(Failed("NOT_FOUND"), "a")) is NotFound
    found = error_of(Failed("UNAVAILABLE", "refused"), "grpc+http://x", store=False)
    assert type(found) is RemoteError and found.path == "grpc+http://x" and found.hint
    assert isinstance(RemoteStoreError("m"), StoreError) and isinstance(RemoteStoreError("m"), RemoteError)
