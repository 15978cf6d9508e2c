"""Workers that take contents from, and builds to, other addresses: served stores, builders with stores of their own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.many import requests_of
from support.served import Served, served
from tvixbuild_nb import Sandbox, build_many
from tvixbuild_nb.castore import Castore, open_castore

pytestmark = pytest.mark.integration


@pytest.fixture
def server(tmp_path: Path, passable_tmp: Path, places: None) -> Iterator[Served]:
    """A server with a store and a builder of its own."""
    with served(tmp_path / "server", "--builder", f"oci:{passable_tmp / 'served'}") as running:
        yield running


def sandboxes(store: Castore) -> list[Sandbox]:
    node = store.ingest_bytes(b"brought along\n")
    script = "cat /nix/store/in > nix/store/o; echo"
    return [
        Sandbox(f"{script} {n}", inputs={"in": node}, outputs=["nix/store/o"], working_dir="", store=store)
        for n in range(4)
    ]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_served_store(server: Served, method: str) -> None:
    with ExitStack() as stack:
        store = stack.enter_context(open_castore(server.address))
        # This process has spoken to it before any worker is there.
        made = sandboxes(store)
        context: Any = multiprocessing.get_context(method)
        pool = stack.enter_context(ProcessPoolExecutor(2, mp_context=context))
        many = build_many(made, pool, store=store)
        assert many.wait(60, show=False).ok, str(many)
        assert [run.outputs["nix/store/o"].read_text() for run in many.runs if run is not None] == [
            "brought along\n"
        ] * 4
        assert many[0].store == server.address and many[0].degraded == ()


@pytest.mark.parametrize("named", [False, True])
def test_a_builder_with_a_store_of_its_own(
    server: Served, store: Castore, pool: ProcessPoolExecutor, named: bool
) -> None:
    more = {"builder_store": server.address} if named else {}
    many = build_many(sandboxes(store), pool, store=store, builder=server.address, **more)
    assert many.wait(60, show=False).ok, str(many)
    for result, run in zip(many, many.runs, strict=True):
        assert run is not None and run.castore.address == result.store == store.address
        assert store.has_closure(result.outputs[0].node)
        assert run.outputs["nix/store/o"].read_text() == "brought along\n" and "process" in (result.worker or "")
    assert many.runs[3].log.text() == "3\n"


def test_a_builder_that_nobody_serves_fails_each_build_at_setup(store: Castore, pool: ProcessPoolExecutor) -> None:
    many = build_many(requests_of(2, 0, same=0), pool, store=store, builder="grpc+http://127.0.0.1:1")
    assert [(result.status, result.failed_at) for result in many] == [("failed", "setup")] * 2
    # Nothing is wrong with the workers.
    assert many.unfit == {} and "127.0.0.1:1" in (many[0].message or "")
