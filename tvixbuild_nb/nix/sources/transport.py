"""How the files of a binary cache are had: from a directory, or over http."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from tvixbuild_nb.errors import PathSourceError

_CHUNK = 256 * 1024
# A bucket that must not be listed answers so for what it has not.
_ABSENT = (403, 404, 410)
_TRY_AGAIN = (429, 500, 502, 503, 504)


class Interrupted(PathSourceError):
    """The transfer broke off in the middle; another try may do."""


class Transport(Protocol):
    """Files by name, relative to the cache; None for one that is not there, :class:`PathSourceError` for trouble."""

    @property
    def address(self) -> str: ...
    @property
    def parallel(self) -> int: ...
    def get(self, name: str, most: int) -> bytes | None:
        """A whole file of at most ``most`` bytes."""
        ...

    def stream(self, name: str) -> AbstractContextManager[Iterator[bytes] | None]:
        """A file in pieces; :class:`Interrupted` while reading them when they break off."""
        ...

    def close(self) -> None: ...


def _too_large(address: str, name: str, most: int) -> PathSourceError:
    return PathSourceError(f"{name} has more than {most} bytes", path=address)


class FileTransport:
    """A directory; names never lead out of it."""

    def __init__(self, root: Path) -> None:
        self.address = f"file://{root}"
        self.parallel = 2
        self._root = root

    def _open(self, name: str) -> int | None:
        if name.startswith("/") or ".." in name.split("/"):
            raise PathSourceError(f"{name!r} leads out of the cache", path=self.address)
        try:
            return os.open(self._root / name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PathSourceError(f"{name}: {error.strerror}", path=self.address) from error

    def get(self, name: str, most: int) -> bytes | None:
        fd = self._open(name)
        if fd is None:
            return None
        with os.fdopen(fd, "rb") as file:
            data = file.read(most + 1)
        if len(data) > most:
            raise _too_large(self.address, name, most)
        return data

    @contextmanager
    def stream(self, name: str) -> Iterator[Iterator[bytes] | None]:
        fd = self._open(name)
        if fd is None:
            yield None
            return
        with os.fdopen(fd, "rb", buffering=0) as file:
            yield iter(lambda: file.read(_CHUNK), b"")

    def close(self) -> None:
        """Nothing is open between calls."""


class HttpTransport:
    """A web server, asked again when it is busy; proxies as the environment names them.

    ``timeout`` is how long nothing may come, in seconds; ``retries`` how often a request is repeated; ``headers``
    what is sent besides.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 30.0,
        retries: int = 4,
        parallel: int = 8,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.address = url.rstrip("/")
        self.parallel = parallel
        settings = {
            "maxsize": parallel,
            "timeout": urllib3.Timeout(connect=min(timeout, 10.0), read=timeout),
            "retries": urllib3.Retry(
                retries, backoff_factor=0.2, status_forcelist=_TRY_AGAIN, raise_on_status=False, redirect=10
            ),
            "headers": {"Accept-Encoding": "identity", "User-Agent": "tvixbuild-nb", **(headers or {})},
        }
        parts = urlsplit(self.address)
        proxy = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
        self._pool = urllib3.ProxyManager(proxy, **settings) if proxy else urllib3.PoolManager(**settings)  # type: ignore[arg-type]

    def _request(self, name: str) -> urllib3.BaseHTTPResponse | None:
        url = name if name.startswith(("http://", "https://")) else f"{self.address}/{name}"
        try:
            response = self._pool.request("GET", url, preload_content=False)
        except urllib3.exceptions.HTTPError as error:
            reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
            raise PathSourceError(f"it cannot be reached: {reason}", path=url) from error
        if response.status == 200:
            return response
        response.drain_conn()
        response.release_conn()
        if response.status in _ABSENT:
            return None
        raise PathSourceError(f"the server answers {response.status} {response.reason}", path=url)

    def get(self, name: str, most: int) -> bytes | None:
        with self.stream(name) as pieces:
            if pieces is None:
                return None
            data = b""
            for piece in pieces:
                data += piece
                if len(data) > most:
                    raise _too_large(self.address, name, most)
            return data

    @contextmanager
    def stream(self, name: str) -> Iterator[Iterator[bytes] | None]:
        response = self._request(name)
        if response is None:
            yield None
            return
        try:
            yield self._pieces(response, name)
        finally:
            response.close()
            response.release_conn()

    def _pieces(self, response: urllib3.BaseHTTPResponse, name: str) -> Iterator[bytes]:
        try:
            yield from response.stream(_CHUNK, decode_content=True)
        except urllib3.exceptions.HTTPError as error:
            raise Interrupted(f"{name}: the transfer broke off: {error}", path=self.address) from error

    def close(self) -> None:
        self._pool.clear()
