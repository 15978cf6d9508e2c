"""The real Nix, for the tests of this directory."""

from __future__ import annotations

import shutil

import pytest

from support.nix import Nix


@pytest.fixture(scope="session")
def nix(tmp_path_factory: pytest.TempPathFactory) -> Nix:
    """The installed Nix with a store of this session's (of each worker's) own."""
    if shutil.which("nix-instantiate") is None:
        pytest.skip("needs Nix: package nix-bin")
    return Nix(tmp_path_factory.mktemp("nix"))
