"""A store on S3's API, with moto's server in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from obstore.store import S3Store

from support.s3 import S3, s3_server
from tvixbuild_nb.castore import Castore, open_castore


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


@pytest.fixture
def bucket(s3: S3, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket that the environment points at."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return s3.make_bucket()


@pytest.fixture
def objects(bucket: str, s3: S3) -> S3Store:
    """What is in the bucket."""
    return s3.objects(bucket)


@pytest.fixture
def castore(bucket: str) -> Iterator[Castore]:
    with open_castore(f"objectstore+s3://{bucket}/some/prefix") as opened:
        yield opened
