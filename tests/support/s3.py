"""S3's API for tests: moto's server in a process of its own, and what points at it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.error import URLError
from urllib.request import Request, urlopen

from obstore.store import S3Store

SECRET = "a-secret-that-must-not-be-shown"


@dataclass(frozen=True)
class S3:
    """A running server; ``environment`` is what a client needs."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    def make_bucket(self) -> str:
        """The name of a new bucket."""
        name = f"b{uuid.uuid4().hex[:12]}"
        urlopen(Request(f"{self.endpoint}/{name}", method="PUT"), timeout=30).close()
        return name

    def objects(self, bucket: str) -> S3Store:
        """What is in a bucket, to look at and to damage."""
        names = {name.removeprefix("AWS_").lower(): value for name, value in self.environment.items()}
        return S3Store(bucket, config=names, client_options={"allow_http": True})


def keys(objects: S3Store) -> list[str]:
    """All keys."""
    return sorted(meta["path"] for page in objects.list() for meta in page)


@contextmanager
def s3_server() -> Iterator[S3]:
    """A server on a free port, ended at the end of the block."""
    command = [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield S3(_endpoint(process))
        finally:
            process.kill()


def _endpoint(process: subprocess.Popen[str]) -> str:
    """Where it listens, from what it says; it answers then."""
    assert process.stderr is not None
    for line in process.stderr:
        if "Running on http://" in line:
            endpoint = "http://" + line.split("http://")[1].split()[0].rstrip("/")
            break
    else:
        raise AssertionError("moto's server did not start")
    # It tells of every request: whoever does not read that stops it.
    threading.Thread(target=process.stderr.read, daemon=True).start()
    for _ in range(100):
        try:
            urlopen(f"{endpoint}/moto-api/", timeout=30).close()
            return endpoint
        except URLError:
            time.sleep(0.05)
    raise AssertionError("moto's server does not answer")
