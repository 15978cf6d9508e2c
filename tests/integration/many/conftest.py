"""A store that workers share, and clusters and pools of them that are gone after the test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

from support.leftovers import Leftovers
from tvixbuild_nb.castore import Castore, open_castore


@pytest.fixture(autouse=True)
def places(root: None, no_leftovers: Leftovers, passable_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TVIXBUILD_NB_BUILDER", f"oci:{passable_tmp}/bundles")


@pytest.fixture
def store(passable_tmp: Path, places: None) -> Iterator[Castore]:
    with open_castore(passable_tmp / "store") as castore:
        yield castore


@pytest.fixture
def pool(places: None) -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2) as executor:
        yield executor


@pytest.fixture
def cluster(places: None, tmp_path: Path) -> Iterator[Client]:
    """Two worker processes, each with one thread, and a nanny that starts another when one dies."""
    directory = str(tmp_path / "dask")
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", local_directory=directory) as workers,
        Client(workers) as client,
    ):
        yield client


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    """Where workers keep records while they build."""
    return Path(os.environ["XDG_STATE_HOME"]) / "tvixbuild-nb" / "jobs"
