"""RemoteAddress: where a gRPC service is, as Tvix writes it: ``grpc+http://host:port``, ``grpc+unix:/path``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from tvixbuild_nb.errors import InvalidAddress

SCHEMES = ("grpc+http", "grpc+https", "grpc+unix")
FORMS = "grpc+http://host:port, grpc+https://host, grpc+unix:/path"
_PORTS = {"grpc+http": 80, "grpc+https": 443}


@dataclass(frozen=True, slots=True)
class RemoteAddress:
    """Where a service is; ``target`` is what gRPC calls it, ``tls`` whether it is spoken to through TLS.

    :class:`InvalidAddress` for anything but the three forms, also for a path after a host: services have none.
    """

    text: str
    target: str
    tls: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``grpc+http://host[:port]``, ``grpc+https://host[:port]`` or ``grpc+unix:/path``."""
        scheme, colon, rest = text.partition(":")
        if not colon or scheme not in SCHEMES:
            raise InvalidAddress(f"{text!r} is no address of a gRPC service", hint=FORMS)
        if scheme == "grpc+unix":
            if not rest.startswith("/") or (rest.startswith("//") and not rest.startswith("///")) or "\0" in rest:
                raise InvalidAddress(f"{text!r}: a socket's path is absolute", hint="grpc+unix:/run/castore.sock")
            path = f"/{rest.lstrip('/')}"
            return cls(f"{scheme}:{path}", f"unix:{path}", False)
        return cls._of_host(text, scheme)

    @classmethod
    def _of_host(cls, text: str, scheme: str) -> Self:
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise InvalidAddress(f"{text!r}: {error}", hint=FORMS) from None
        if not host or parts.username is not None:
            raise InvalidAddress(f"{text!r}: a host is needed, and nothing before it", hint=FORMS)
        if parts.path not in ("", "/") or parts.query or parts.fragment or "?" in text or "#" in text:
            where = text[: len(text) - len(text.split("//", 1)[1].partition("/")[2]) - 1] if parts.path else scheme
            raise InvalidAddress(f"{text!r}: nothing may follow the host: a service has no path", hint=where)
        shown = f"[{host}]" if ":" in host else host
        explicit = "" if port is None else f":{port}"
        target = f"dns:///{shown}:{_PORTS[scheme] if port is None else port}"
        return cls(f"{scheme}://{shown}{explicit}", target, scheme == "grpc+https")
