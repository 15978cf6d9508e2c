"""Addresses of services elsewhere."""

from __future__ import annotations

import pytest

from tvixbuild_nb.build import build_service_from_addr
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.castore.remote import RemoteAddress
from tvixbuild_nb.errors import InvalidAddress


@pytest.mark.parametrize(
    ("text", "target", "tls", "again"),
    [
        ("grpc+http://host:9000", "dns:///host:9000", False, "grpc+http://host:9000"),
        ("grpc+http://host", "dns:///host:80", False, "grpc+http://host"),
        ("grpc+http://host/", "dns:///host:80", False, "grpc+http://host"),
        ("grpc+https://host", "dns:///host:443", True, "grpc+https://host"),
        ("grpc+https://Host.example:1", "dns:///host.example:1", True, "grpc+https://host.example:1"),
        ("grpc+http://[::1]:8000", "dns:///[::1]:8000", False, "grpc+http://[::1]:8000"),
        ("grpc+unix:/run/s", "unix:/run/s", False, "grpc+unix:/run/s"),
        ("grpc+unix:///run/s", "unix:/run/s", False, "grpc+unix:/run/s"),
    ],
)
def test_the_three_forms(text: str, target: str, tls: bool, again: str) -> None:
    found = RemoteAddress.parse(text)
    assert (found.target, found.tls, found.text) == (target, tls, again)
    assert RemoteAddress.parse(found.text) == found
    with open_castore(text) as castore:
        assert castore.address == again


@pytest.mark.parametrize(
    "text",
    [
        "grpc+http://host/path", "grpc+http://host:1/a/b", "grpc+http://host?x", "grpc+http://host/?x=1",
        "grpc+http://host#x", "grpc+http://me@host", "grpc+http:", "grpc+http://", "grpc+http:host:1",
        "grpc+http://host:port", "grpc+http://host:99999", "grpc+unix:", "grpc+unix:relative", "grpc+unix://host/s",
        "grpc+ftp://host", "grpc://host", "http://host", "grpc+http",
    ],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    with pytest.raises(InvalidAddress):
        RemoteAddress.parse(text)
    with pytest.raises(InvalidAddress):
        build_service_from_addr(text)


def test_a_path_after_a_host_is_named() -> None:
    with pytest.raises(InvalidAddress, match="nothing may follow the host") as raised:
        open_castore("grpc+http://host:1/store")
    assert raised.value.hint == "grpc+http://host:1"
