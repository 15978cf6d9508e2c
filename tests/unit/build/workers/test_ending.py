"""Builds at workers that are to end: who was told, who could not be, and what is said of it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import BrokenExecutor, Future
from pathlib import Path
from typing import Any

import pytest

from tvixbuild_nb.build import BuildContext, BuildPolicy, BuildResult, RunRecord, doctor
from tvixbuild_nb.build.result import Usage
from tvixbuild_nb.build.workers import WorkersBuildService
from tvixbuild_nb.build.workers.dasks import DaskPool
from tvixbuild_nb.build.workers.exchange import SocketExchange
from tvixbuild_nb.build.workers.job import Answer, Job, Unfit, Voice
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.request import BuildRequest

REQUEST = BuildRequest(command_args=["sh"], scratch_paths=["s"], outputs=["s/o"])


class Deaf:
    """A pool whose one worker begins, talks, and never ends anything; or says what it is told to, and is lost."""

    address, slots, forks = "pool:", 1, False

    def __init__(self, *says: dict[str, Any]) -> None:
        self.says = says
        self.begun = threading.Event()
        self.exchange = SocketExchange()
        self.line = self.exchange.line
        self.hear, self.forget, self.close = self.exchange.hear, self.exchange.forget, self.exchange.close

    def submit(self, job: Job, unfit: object) -> Future[Answer | Unfit]:
        if self.begun.is_set():
            raise OSError("no more workers")
        voice = job.line.open(job.key)
        voice.tell({"told": "started", "worker": "w1"})
        future: Future[Answer | Unfit] = Future()
        future.set_running_or_notify_cancel()
        if self.says:
            for message in self.says:
                voice.tell(message)
            voice.close()
            future.set_exception(BrokenExecutor())
        else:
            threading.Thread(target=self._talk, args=(voice,), daemon=True).start()
        self.begun.set()
        return future

    def _talk(self, voice: Voice) -> None:
        for _ in range(400):
            voice.tell({"told": "last", "data": b"still at it"})
            time.sleep(0.05)

    def cancel(self, job: str, future: Future[Answer | Unfit], worker: str | None) -> None:
        return

    def stuck(self, unfit: object, future: object) -> bool:
        return False

    def is_loss(self, error: BaseException) -> bool:
        return isinstance(error, BrokenExecutor)


@pytest.mark.slow
def test_who_does_not_end_in_time_is_named(tmp_path: Path) -> None:
    pool = Deaf()
    service = WorkersBuildService(pool, open_castore(tmp_path))
    context = BuildContext(RunRecord.create(), BuildPolicy(grace=0))
    threading.Thread(target=lambda: (pool.begun.wait(), context.cancel.cancel())).start()
    began = time.monotonic()
    result = service.do_build(REQUEST, context)
    assert result.status == "cancelled" and time.monotonic() - began < 20
    assert [text.partition(":")[0] for text in result.degraded] == ["w1"]
    assert "may go on there" in result.degraded[0]
    service.close()


def test_a_result_that_nobody_here_cancelled_is_not_taken(tmp_path: Path) -> None:
    """A cluster takes a task from a worker that it believes lost; that one ends it, and says so."""
    theirs = BuildResult(
        id="x", request_digest=REQUEST.digest, service="oci:", status="cancelled", store="s", started=0, finished=0,
        usage=Usage(source="nobody"), timings={}, log_size=0,
    )  # fmt: skip
    told = {"told": "result", "worker": "w1", "status": "cancelled", "result": theirs.model_dump_json()}
    service = WorkersBuildService(Deaf(told), open_castore(tmp_path))
    result = service.do_build(REQUEST, BuildContext(RunRecord.create()))
    assert result.status == "failed" and "no more workers" in (result.message or "")
    service.close()


class Client:
    """As much of a Dask client as a pool needs; its worker hangs."""

    def __init__(self) -> None:
        self.hangs = threading.Event()
        self.called = threading.Event()
        self.forgotten: list[Any] = []

    def subscribe_topic(self, topic: str, hear: object) -> None: ...
    def unsubscribe_topic(self, topic: str) -> None: ...

    def run(self, *work: object, workers: list[str]) -> None:
        self.called.set()
        self.hangs.wait(30)

    def run_on_scheduler(self, work: object) -> None:
        self.forgotten.append(work)

    def nthreads(self) -> dict[str, int]:
        raise TimeoutError


def test_a_dask_worker_that_hangs_holds_nobody() -> None:
    client = Client()
    pool = DaskPool(client)
    future: Future[Answer | Unfit] = Future()
    began = time.monotonic()
    pool.cancel("job", future, "tcp://worker")
    assert time.monotonic() - began < 1 and client.called.wait(5) and not future.cancelled()
    pool.cancel("job", future, None)
    assert future.cancelled() and pool.slots == 8
    client.hangs.set()
    pool.close()
    assert len(client.forgotten) == 1


def test_the_scheduler_forgets_what_was_told_of_jobs_that_are_over() -> None:
    client = Client()
    pool = DaskPool(client)
    for number in range(130):
        pool.hear(f"job{number}", lambda message: None)
        pool.forget(f"job{number}")
    deadline = time.monotonic() + 5
    while len(client.forgotten) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(client.forgotten) == 2

    class Scheduler:
        class _broker:
            _topics = dict.fromkeys([pool.line.topic, pool.line.ends_of("job0"), pool.line.ends_of("x"), "another"])

    for forget in client.forgotten:
        forget(Scheduler)
    assert set(Scheduler._broker._topics) == {pool.line.topic, pool.line.ends_of("x"), "another"}
    pool.close()
    client.forgotten[-1](Scheduler)
    assert set(Scheduler._broker._topics) == {"another"}


def test_a_worker_that_has_built_something_is_fit_again(tmp_path: Path) -> None:
    service = WorkersBuildService(Deaf(), open_castore(tmp_path))
    service.note_unfit(Unfit("w1", "no runc", doctor()))
    assert list(service.unfit) == ["w1"] and service.shunned == {"w1"}
    service.note_fit("w1")
    assert service.unfit == {} and service.shunned == frozenset()
    service.close()
