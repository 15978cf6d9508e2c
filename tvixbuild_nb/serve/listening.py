"""Where a server may listen: on loopback and on sockets of this machine freely, elsewhere with TLS and certificates."""

from __future__ import annotations

import ipaddress
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tvixbuild_nb.castore.remote.connection import load_grpc
from tvixbuild_nb.errors import HostRefused, InvalidAddress

if TYPE_CHECKING:
    import grpc

_FORMS = "HOST:PORT (port 0: any that is free), unix:/path"


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of a server's certificate and its key, and of the authority whose clients are let in (None: anybody)."""

    cert: Path
    key: Path
    client_ca: Path | None = None

    def credentials(self) -> grpc.ServerCredentials:
        """For gRPC; :class:`HostRefused` names a file that cannot be read."""
        ca = None if self.client_ca is None else _read(self.client_ca)
        made: grpc.ServerCredentials = load_grpc().ssl_server_credentials(
            [(_read(self.key), _read(self.cert))], root_certificates=ca, require_client_auth=ca is not None
        )
        return made


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise HostRefused(error.strerror or str(error), path=path) from error


@dataclass(frozen=True, slots=True)
class Listen:
    """An address to listen on: ``host`` and ``port``, or the ``path`` of a socket."""

    host: str | None = None
    port: int = 0
    path: Path | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``HOST:PORT``, ``[::1]:PORT`` or ``unix:/path``; :class:`InvalidAddress` for anything else."""
        if text.startswith("unix:"):
            path = Path(text.removeprefix("unix:"))
            if not path.is_absolute():
                raise InvalidAddress(f"{text!r}: a socket's path is absolute", hint=_FORMS)
            return cls(path=path)
        host, colon, port = text.rpartition(":")
        if not colon or not host or not port.isdecimal() or int(port) > 65535 or "/" in host:
            raise InvalidAddress(f"{text!r} is no address to listen on", hint=_FORMS)
        return cls(host=host.removeprefix("[").removesuffix("]"), port=int(port))

    @property
    def local(self) -> bool:
        """Whether nobody outside this machine gets there."""
        if self.host is None:
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def check(self, tls: Tls | None, *, insecure: bool) -> None:
        """:class:`HostRefused` where anybody on the network could build here, unless ``insecure`` says so.

        Also for certificates of a socket: addresses of sockets are spoken to in the clear, so nobody could call.
        """
        if self.path is not None and tls is not None:
            raise HostRefused(
                "a socket is spoken to without TLS", path=str(self), hint="its file's mode says who may call: chmod it"
            )
        if self.local or insecure or (tls is not None and tls.client_ca is not None):
            return
        raise HostRefused(
            "whoever reaches this address could run programs here: it takes TLS with certificates of clients",
            path=str(self),
            hint="--tls-cert, --tls-key and --client-ca; or listen on 127.0.0.1; or --insecure, if that is meant",
        )

    def target(self) -> str:
        """What gRPC calls it."""
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in str(self.host) else f"{self.host}:{self.port}"

    def address(self, port: int, *, tls: bool) -> str:
        """What clients call it, now that it has this port."""
        if self.path is not None:
            return f"grpc+unix:{self.path}"
        host = f"[{self.host}]" if ":" in str(self.host) else self.host
        return f"grpc+{'https' if tls else 'http'}://{host}:{port}"

    def clear(self) -> None:
        """Remove a socket that a dead server left; :class:`HostRefused` when it is alive, no socket, or nowhere."""
        if self.path is None:
            return
        if not self.path.parent.is_dir():
            raise HostRefused("there is no such directory", path=self.path.parent, hint="make it first: mkdir -p")
        try:
            status = self.path.lstat()
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(status.st_mode):
            raise HostRefused("this is no socket", path=self.path)
        if _answers(self.path):
            raise HostRefused("another server listens there", path=self.path)
        self.path.unlink(missing_ok=True)

    def close_to_others(self) -> None:
        """The socket is this user's alone, whatever the umask says; who wants others to call changes that."""
        if self.path is not None:
            self.path.chmod(0o600)

    def leave(self) -> None:
        """Take the socket away."""
        if self.path is not None:
            with suppress(FileNotFoundError):
                os.unlink(self.path)

    def __str__(self) -> str:
        return self.target()


def _answers(path: Path) -> bool:
    import socket

    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
