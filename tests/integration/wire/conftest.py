"""Servers and clients in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.leftovers import Leftovers
from support.served import Served, served
from tvixbuild_nb.castore import Castore, open_castore


@pytest.fixture
def server(tmp_path: Path, passable_tmp: Path, no_leftovers: Leftovers) -> Iterator[Served]:
    """A server with a store and a builder; whatever happens in the test, nothing of it stays."""
    with served(tmp_path / "server", "--builder", f"oci:{passable_tmp / 'bundles'}") as running:
        yield running


@pytest.fixture
def near(tmp_path: Path) -> Iterator[Castore]:
    """The client's own store."""
    with open_castore(tmp_path / "near") as castore:
        yield castore


@pytest.fixture
def far(server: Served) -> Iterator[Castore]:
    """The server's store, from here."""
    with open_castore(server.address) as castore:
        yield castore
