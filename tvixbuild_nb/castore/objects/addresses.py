"""What follows ``objectstore+`` in an address, as the object storage that it names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tvixbuild_nb.castore.objects.bucket import Bucket
from tvixbuild_nb.castore.objects.troubles import store_error
from tvixbuild_nb.errors import InvalidAddress, NoStore

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_FORMS = "objectstore+s3://bucket/prefix, objectstore+file:/path, objectstore+memory:"

# So that what is unplugged, blocked or asleep is an error after a while: tried again as often, with pauses between.
_CONNECT = timedelta(seconds=5)
_QUESTION = timedelta(seconds=15)
# Many chunks at once on a slow line take their time.
_CONTENTS = timedelta(seconds=180)
_TRIES: RetryConfig = {
    "max_retries": 4,
    "retry_timeout": _QUESTION,
    "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=3), "base": 2},
}


def open_bucket(kind: str, rest: str, read_only: bool) -> Bucket:
    """The bucket at ``objectstore+<kind>:<rest>``; :class:`InvalidAddress` says what forms there are."""
    address = f"objectstore+{kind}:{rest}"
    return {"s3": _s3, "file": _file, "memory": _memory}[kind](rest, address, read_only)


def _s3(rest: str, address: str, read_only: bool) -> Bucket:
    from obstore.store import S3Store

    parts = urlsplit(f"s3:{rest}")
    if "@" in parts.netloc:
        raise InvalidAddress(
            "credentials do not belong into a store address",
            hint="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment hold them",
        )
    prefix = parts.path.strip("/")
    if not parts.netloc or parts.query or parts.fragment or ":" in parts.netloc or "//" in prefix:
        raise InvalidAddress(f"not a bucket and a prefix: {address!r}", hint=f"known forms: {_FORMS}")
    try:
        questions, contents = (
            S3Store(parts.netloc, prefix=prefix or None, client_options=_client(os.environ, limit), retry_config=_TRIES)
            for limit in (_QUESTION, _CONTENTS)
        )
    except Exception as error:
        # The library has no type of its own for an environment that it does not understand.
        raise store_error(error, address) from None
    address = f"objectstore+s3://{parts.netloc}{'/' if prefix else ''}{prefix}"
    return Bucket(contents, address, questions=questions)


def _client(environment: Mapping[str, str], limit: timedelta) -> ClientConfig:
    # Who names an endpoint without TLS has said so; the library wants to hear it once more.
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    plain = any(environment.get(name, "").startswith("http://") for name in names)
    options: ClientConfig = {"connect_timeout": _CONNECT, "timeout": limit}
    return options | {"allow_http": True} if plain else options


def _file(rest: str, address: str, read_only: bool) -> Bucket:
    from obstore.store import LocalStore

    if not rest.startswith("/") or (rest.startswith("//") and not rest.startswith("///")):
        raise InvalidAddress(f"not an absolute path: {address!r}", hint=f"known forms: {_FORMS}")
    path = Path("/" + rest.lstrip("/"))
    address = f"objectstore+file:{path}"
    try:
        if not read_only:
            path.mkdir(parents=True, exist_ok=True)
        elif not path.exists():
            raise NoStore("there is no store here", path=address)
        return Bucket(LocalStore(path), address)
    except OSError as error:
        raise store_error(error, address) from None


def _memory(rest: str, address: str, read_only: bool) -> Bucket:
    from obstore.store import MemoryStore

    if rest:
        raise InvalidAddress(f"nothing may follow 'objectstore+memory:', not {rest!r}", hint=f"known forms: {_FORMS}")
    return Bucket(MemoryStore(), address)
