"""What object storage refuses, and who does not answer: a typed error in words, soon, and without secrets."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from obstore.store import S3Store

from support.s3 import SECRET
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.errors import InvalidAddress, NoStore, StoreError

pytestmark = pytest.mark.integration


class TestRefusal:
    def test_no_such_bucket(self, bucket: str) -> None:
        for read_only in (False, True):
            with pytest.raises(StoreError, match="no-such-bucket.*there is no such bucket"):
                open_castore("objectstore+s3://no-such-bucket", read_only=read_only)

    def test_no_store(self, bucket: str) -> None:
        with pytest.raises(NoStore, match="there is no store here"):
            open_castore(f"objectstore+s3://{bucket}/nothing", read_only=True)

    def test_something_else_and_a_newer_format(self, bucket: str, objects: S3Store) -> None:
        objects.put("photos/cat.jpg", b"meow")
        with pytest.raises(StoreError, match=r"no store and not empty: it holds 'cat.jpg'"):
            open_castore(f"objectstore+s3://{bucket}/photos")
        open_castore(f"objectstore+s3://{bucket}/new").close()
        objects.put("new/version", b"tvixbuild-nb objects 2\n")
        with pytest.raises(StoreError, match="format 2.*up to 1"):
            open_castore(f"objectstore+s3://{bucket}/new")

    @pytest.mark.parametrize("status", [401, 403, 500, 503])
    def test_wrong_credentials_and_trouble_there(
        self, bucket: str, monkeypatch: pytest.MonkeyPatch, status: int
    ) -> None:
        body = f"<Error><Code>TheCode</Code><AWSAccessKeyId>test</AWSAccessKeyId><X>{SECRET}</X></Error>".encode()
        head = f"HTTP/1.1 {status} No\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        with answering(head + body) as endpoint:
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
            start = time.monotonic()
            with pytest.raises(StoreError, match="TheCode" if status != 401 else "credentials") as caught:
                open_castore(f"objectstore+s3://{bucket}")
        assert time.monotonic() - start < 30
        if status in (401, 403):
            assert "refuses these credentials" in str(caught.value)
        assert SECRET not in str(caught.value)
        assert caught.value.__cause__ is None and caught.value.__suppress_context__

    def test_nobody_there(self, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        with pytest.raises(StoreError, match="cannot be reached"):
            open_castore(f"objectstore+s3://{bucket}")

    @pytest.mark.slow
    def test_somebody_who_never_answers(self, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
            start = time.monotonic()
            with pytest.raises(StoreError, match="does not answer in time"):
                open_castore(f"objectstore+s3://{bucket}")
            assert time.monotonic() - start < 60

    def test_no_such_host(self, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://nowhere.invalid")
        with pytest.raises(StoreError, match="cannot be reached|does not answer"):
            open_castore(f"objectstore+s3://{bucket}")

    def test_credentials_in_an_address(self) -> None:
        with pytest.raises(InvalidAddress, match="do not belong") as caught:
            open_castore(f"objectstore+s3://key:{SECRET}@bucket/prefix")
        assert SECRET not in str(caught.value)

    @pytest.mark.parametrize("rest", ["s3:", "s3://", "s3:bucket", "s3://b/p?x=1", "s3://b:80/p", "file:x", "memory:x"])
    def test_other_forms(self, rest: str) -> None:
        with pytest.raises(InvalidAddress, match="objectstore\\+s3://bucket/prefix"):
            open_castore(f"objectstore+{rest}")


class answering:
    """Somebody on a port of loopback who gives one answer to all."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> str:
        threading.Thread(target=self._serve, daemon=True).start()
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(self._answer)

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
