"""What becomes of errors of handlers that are no refusals."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tvixbuild_nb.build import BuildContext, BuildResult, DummyBuildService
from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.errors import RemoteError
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.sandbox import Sandbox
from tvixbuild_nb.serve import Listen, Server


class Defective(DummyBuildService):
    """Raises what no build service should."""

    def do_build(self, request: BuildRequest, context: BuildContext) -> BuildResult:
        raise ZeroDivisionError("a secret of the server")


@pytest.fixture
def castore() -> Iterator[Castore]:
    with open_castore("memory:") as castore:
        yield castore


def test_defects_are_logged_and_not_told(castore: Castore, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        Server(Listen(path=tmp_path / "s"), castore, Defective(castore)) as server,
        caplog.at_level(logging.ERROR),
        pytest.raises(RemoteError) as raised,
    ):
        Sandbox(["x"], store=tmp_path / "near", builder=server.address).run(show=False)
    assert raised.value.code == "INTERNAL" and "secret" not in str(raised.value)
    assert "a secret of the server" in caplog.text
