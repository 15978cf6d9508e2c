"""Addresses to listen on, and where one may."""

from __future__ import annotations

from pathlib import Path

import pytest

from tvixbuild_nb.errors import HostRefused, InvalidAddress
from tvixbuild_nb.serve import Listen, Tls


@pytest.mark.parametrize(
    ("text", "target", "local"),
    [
        ("127.0.0.1:0", "127.0.0.1:0", True),
        ("127.9.9.9:80", "127.9.9.9:80", True),
        ("localhost:1", "localhost:1", True),
        ("[::1]:1", "[::1]:1", True),
        ("unix:/run/s", "unix:/run/s", True),
        ("0.0.0.0:1", "0.0.0.0:1", False),
        ("[::]:1", "[::]:1", False),
        ("192.168.1.1:1", "192.168.1.1:1", False),
        ("example.org:1", "example.org:1", False),
        ("localhost.example.org:1", "localhost.example.org:1", False),
    ],
)
def test_addresses(text: str, target: str, local: bool) -> None:
    listen = Listen.parse(text)
    assert (listen.target(), listen.local) == (target, local)
    strict, lax = Tls(Path("c"), Path("k"), Path("ca")), Tls(Path("c"), Path("k"))
    listen.check(None, insecure=True)
    if listen.path is not None:
        listen.check(None, insecure=False)
        for tls in (strict, lax):
            with pytest.raises(HostRefused, match="without TLS"):
                listen.check(tls, insecure=True)
        return
    listen.check(strict, insecure=False)
    for tls in (None, lax):
        if local:
            listen.check(tls, insecure=False)
        else:
            with pytest.raises(HostRefused) as raised:
                listen.check(tls, insecure=False)
            assert "--client-ca" in (raised.value.hint or "")


@pytest.mark.parametrize("text", ["", "host", ":1", "host:", "host:x", "host:70000", "unix:", "unix:rel", "a/b:1"])
def test_what_is_none(text: str) -> None:
    with pytest.raises(InvalidAddress):
        Listen.parse(text)
