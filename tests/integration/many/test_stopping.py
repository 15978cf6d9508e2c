"""Builds in executors of other processes: stopped, begun for nobody, on hosts that cannot be told anything."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.kernels import eventually
from support.many import check_all, executions, request_of, requests_of, row_when
from tvixbuild_nb import build_many
from tvixbuild_nb.build.workers.job import Job
from tvixbuild_nb.build.workers.sockets import SocketLine
from tvixbuild_nb.castore import Castore

pytestmark = pytest.mark.integration


class Submits:
    """All that is asked of an executor."""

    def __init__(self, inner: ProcessPoolExecutor) -> None:
        self._inner = inner

    def submit(self, work: Callable[[Job], Any], job: Job) -> Future[Any]:
        return self._inner.submit(work, job)


class Elsewhere(Submits):
    """Workers of another host: this host's socket is not there."""

    def submit(self, work: Callable[[Job], Any], job: Job) -> Future[Any]:
        return super().submit(work, replace(job, line=SocketLine("/nowhere/jobs", b"key", "another host")))


def over(jobs: Path) -> bool:
    """Whether no worker is at a build any more."""
    return [path.name for path in jobs.iterdir()] == ["lock"]


@pytest.mark.parametrize("kind", [lambda pool: pool, Submits])
def test_builds_in_processes_are_stopped(
    kind: Callable[[ProcessPoolExecutor], Any], pool: ProcessPoolExecutor, store: Castore, jobs: Path
) -> None:
    many = build_many([request_of(f"echo {n}; sleep 60") for n in range(3)], kind(pool), store=store)
    row_when(many, lambda row: row.tail == "0")
    began = time.monotonic()
    many.cancel(0)
    assert many[0].status == "cancelled" and time.monotonic() - began < 5
    assert many[0].degraded == () and many[0].worker is not None and many.runs[0] is not None
    assert many.runs[0].log.text() == "0\n" and many.runs[0].config is not None
    row_when(many, lambda row: row.numbers == (2,) and row.stage == "run")
    began = time.monotonic()
    many.cancel()
    assert {result.status for result in many} == {"cancelled"} and time.monotonic() - began < 5
    eventually(lambda: over(jobs), "no worker goes on")


def test_an_object_that_has_only_submit(pool: ProcessPoolExecutor, store: Castore) -> None:
    requests = requests_of(8, 0.1, same=2)
    many = build_many(requests, Submits(pool), store=store)
    check_all(many, requests)
    assert executions(store) == 6 and {result.service for result in many} == {"Submits:"}


def test_workers_that_cannot_be_reached_build_all_the_same(pool: ProcessPoolExecutor, store: Castore) -> None:
    requests = requests_of(4, 0.1, same=1)
    many = build_many(requests, Elsewhere(pool), store=store)
    check_all(many, requests)
    assert executions(store) == 3 and all(result.degraded == () for result in many)
    assert all(" of " in (result.worker or "") for result in many)


@pytest.mark.slow
def test_who_could_not_be_told_to_stop_is_said(pool: ProcessPoolExecutor, store: Castore, jobs: Path) -> None:
    many = build_many([request_of("sleep 25")], Elsewhere(pool), store=store)
    eventually(lambda: jobs.is_dir() and not over(jobs), "it has begun, though nobody hears of it")
    many.cancel()
    assert many[0].status == "cancelled"
    assert many[0].degraded == ("whoever has it: it could not be told to end this, or did not; it may go on there",)
    eventually(lambda: over(jobs), "it came to its own end")


@pytest.mark.slow
def test_what_an_executor_begins_after_all_are_over_is_not_built(store: Castore, jobs: Path) -> None:
    """A process pool takes one job more than it has processes, and gives it back to nobody."""
    with ProcessPoolExecutor(1) as pool:
        first = build_many([request_of("sleep 22")], pool, store=store)
        row_when(first, lambda row: row.stage == "run")
        second = build_many([request_of("echo never; sleep 60")], pool, store=store)
        eventually(lambda: second.rows()[0].run is not None, "it was handed over")
        second.cancel()
        assert second[0].status == "cancelled" and second.wait(show=False).over
        first.wait(show=False)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert over(jobs)
