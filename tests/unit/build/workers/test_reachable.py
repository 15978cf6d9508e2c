"""What workers cannot open is refused before anything is sent to them."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from tvixbuild_nb import build_many
from tvixbuild_nb.build.workers import WorkersBuildService
from tvixbuild_nb.build.workers.opening import pool_of
from tvixbuild_nb.build.workers.reachable import check_builder, check_store
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.errors import InvalidAddress, InvalidValue
from tvixbuild_nb.request import BuildRequest

REQUEST = BuildRequest(command_args=["sh"], scratch_paths=["s"], outputs=["s/o"])


@pytest.mark.parametrize(
    "address",
    [
        "memory:", "objectstore+memory:", "cache(memory:, file:/a)", "priority(file:/a, objectstore+memory:)",
        "cache(file:/a, priority(file:/b,memory:))",
    ],
)  # fmt: skip
def test_a_store_in_memory_whatever_it_is_part_of(address: str) -> None:
    with open_castore("memory:") as memory, pytest.raises(InvalidAddress, match="memory") as caught:
        check_store(memory.address if address == "memory:" else address, forked=False)
    assert caught.value.path == "store" and caught.value.hint


@pytest.mark.parametrize("address", ["file:/data/memory:", "cache(file:/a, grpc+http://h:1)", "objectstore+s3://b"])
def test_stores_that_others_can_open(address: str) -> None:
    check_store(address, forked=False)


@pytest.mark.parametrize("address", ["objectstore+file:/a", "cache(file:/a, objectstore+s3://bucket)"])
def test_object_storage_does_not_survive_a_fork(address: str) -> None:
    with pytest.raises(InvalidValue, match="forked") as caught:
        check_store(address, forked=True)
    assert caught.value.hint and "spawn" in caught.value.hint


@pytest.mark.parametrize(("method", "forks"), [("fork", True), ("spawn", False)])
def test_which_pools_fork(method: str, forks: bool) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as executor:
        pool = pool_of(executor)
        assert pool.forks is forks
        pool.close()


@pytest.mark.parametrize(
    ("builder", "builder_store", "runtime", "words"),
    [
        ("dummy:", None, None, "does not travel"),
        ("dask+tcp://scheduler:8786", None, None, "do not hand builds on"),
        ("dask+tls://scheduler:8786", None, None, "do not hand builds on"),
        ("ProcessPoolExecutor:", None, None, "no address of a build service"),
        ("grpc+http://host:1", None, "crun", "no choice of runtimes"),
        ("oci:", "grpc+http://host:1", None, "builds with the workers' store"),
        (None, "file:/store", None, "builds with the workers' store"),
    ],
)
def test_builders_of_which_workers_have_no_use(
    builder: str | None, builder_store: str | None, runtime: str | None, words: str
) -> None:
    with pytest.raises((InvalidAddress, InvalidValue), match=words) as caught:
        check_builder(builder, builder_store, runtime)
    assert caught.value.path in ("builder", "builder_store", "runtime")


def test_builders_that_workers_can_open() -> None:
    for builder, theirs in ((None, None), ("oci:/b", None), ("replay:/r", None), ("grpc+unix:/b", "grpc+unix:/c")):
        check_builder(builder, theirs, None)


def test_the_variable_is_refused_as_the_argument_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TVIXBUILD_NB_BUILDER", "dask+tcp://127.0.0.1:8786")
    with (
        ProcessPoolExecutor(1) as executor,
        open_castore(tmp_path) as store,
        pytest.raises(InvalidAddress, match="do not hand builds on"),
    ):
        build_many([REQUEST], executor, store=store)


def test_what_is_known_of_workers(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3) as executor, open_castore(tmp_path) as store:
        service = WorkersBuildService(pool_of(executor), store)
        assert service.concurrency == 3
        service.close()
        unknown = WorkersBuildService(pool_of(_Submits()), store)
        assert unknown.concurrency > 8
        unknown.close()


class _Submits:
    def submit(self, *work: object) -> None:
        raise AssertionError("nothing is to be started")
