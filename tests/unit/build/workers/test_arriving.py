"""What workers tell: messages that are lost or come twice, an answer that has all, logs that are too long."""

from __future__ import annotations

import pickle
import tempfile
from concurrent.futures import BrokenExecutor, Future
from pathlib import Path
from typing import Any

import pytest

from tvixbuild_nb.build import (
    BuildContext,
    BuildPolicy,
    BuildService,
    EventReader,
    LogEvent,
    Placement,
    RunRecord,
    StageEvent,
)
from tvixbuild_nb.build.workers import RefusalsAsResults, Unfit, WorkersBuildService
from tvixbuild_nb.build.workers.arriving import Arriving
from tvixbuild_nb.build.workers.exchange import SocketExchange
from tvixbuild_nb.build.workers.job import Answer, Job, LogTold, StageTold
from tvixbuild_nb.build.workers.sockets import SocketLine
from tvixbuild_nb.build.workers.telling import HEAD, TAIL, _parts
from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.errors import InvalidAddress
from tvixbuild_nb.request import BuildRequest


def stage(name: str, state: str) -> str:
    return StageEvent(time=1.0, stage=name, state=state).model_dump_json()  # type: ignore[arg-type]


def chunk(offset: int, data: bytes) -> dict[str, Any]:
    return {"told": "log", "time": 2.0, "stream": "stdout", "offset": offset, "data": data}


def recorded(record: RunRecord) -> tuple[bytes, list[str]]:
    reader = EventReader(record)
    events = list(reader.read())
    reader.close()
    log = b"".join(event.data for event in events if isinstance(event, LogEvent))
    return log, [f"{event.stage} {event.state}" for event in events if isinstance(event, StageEvent)]


def test_whatever_was_told_the_answer_completes_it() -> None:
    context = BuildContext(RunRecord.create())
    arriving = Arriving(context)
    arriving.take({"told": "stage", "number": 0, "event": stage("run", "started")})
    arriving.take(chunk(0, b"one "))
    arriving.take(chunk(0, b"one "))
    # One was lost: what comes after it has to wait.
    arriving.take(chunk(8, b"three "))
    arriving.take({"told": "stage", "number": 2, "event": stage("clean", "started")})
    events = (
        StageTold(stage("run", "started")), LogTold(2.0, "stdout", 0, b"one two "), StageTold(stage("run", "finished")),
        LogTold(2.0, "stderr", 8, b"three "), StageTold(stage("clean", "started")),
    )  # fmt: skip
    arriving.finish(Answer("w", "", events, {}))
    arriving.close()
    assert recorded(context.record) == (b"one two three ", ["run started", "run finished", "clean started"])
    assert context.log_size == 14


def test_a_build_that_is_done_again_says_so_and_begins_anew() -> None:
    context = BuildContext(RunRecord.create())
    arriving = Arriving(context)
    arriving.take(chunk(0, b"half"))
    arriving.again("w was lost")
    arriving.take(chunk(0, b"whole"))
    arriving.close()
    assert recorded(context.record)[0] == b"half[w was lost]\nwhole"


def test_of_a_long_log_the_middle_is_left_out_where_it_says_so() -> None:
    size = HEAD + TAIL + 1000
    skipped = range(HEAD, size - TAIL)
    data = b"x" * (HEAD - 10) + b"M" * 1020 + b"y" * (TAIL - 10)
    assert len(data) == size
    chunks = [LogEvent(time=1, stream="stdout", offset=at, data=data[at : at + 300]) for at in range(0, size, 300)]
    parts = [part for event in chunks for part in _parts(event, skipped)]
    assert b"".join(part.data for part in parts) == data[:HEAD] + data[size - TAIL :]
    context = BuildContext(RunRecord.create())
    arriving = Arriving(context)
    arriving.finish(Answer("w", "", tuple(parts), {}, left_out=1000))
    arriving.close()
    with context.record.log() as log:
        whole = log.read(0, log.size())
    assert whole == data[:HEAD] + b"[1000 bytes of the log stayed on the worker]\n" + data[size - TAIL :]
    short = LogEvent(time=1, stream="stdout", offset=HEAD - 3, data=b"abcdef")
    assert [part.data for part in _parts(short, range(HEAD, HEAD))] == [b"abcdef"]


def test_what_travels_is_small_and_knows_no_memory() -> None:
    request = BuildRequest(command_args=["sh"], scratch_paths=["s"], outputs=["s/o"])
    line = SocketLine("/tmp/socket", b"k" * 32)
    job = Job("key", request.to_bytes(), "file:/store", None, None, None, BuildPolicy(timeout=3), line)
    sent = pickle.dumps(job)
    assert pickle.loads(sent) == job and len(sent) < 1500
    assert "kkk" not in repr(job)


def test_a_line_that_leads_nowhere_is_heard_by_nobody() -> None:
    voice = SocketLine("/nowhere/jobs", b"key").open("job")
    voice.tell({"told": "started"})
    voice.close()


def test_an_exchange_hears_a_job_until_it_is_gone() -> None:
    exchange = SocketExchange()
    heard: list[str] = []
    ended: Future[None] = Future()

    def hear(message: dict[str, Any]) -> None:
        heard.append(message["told"])
        if message["told"] == "gone":
            ended.set_result(None)

    exchange.hear("job", hear)
    assert not exchange.cancel("job")
    voice = exchange.line.open("job")
    voice.tell({"told": "started"})
    voice.tell({"told": "result"})
    voice.close()
    ended.result(10)
    assert heard == ["started", "result", "gone"]
    exchange.close()


def test_what_a_dead_owner_left_is_swept_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("dead", "unknown"):
        (tmp_path / f"tvixbuild-nb-jobs-{name}").mkdir()
    (tmp_path / "tvixbuild-nb-jobs-dead" / "lock").touch()
    first, second = SocketExchange(), SocketExchange()
    assert len(list(tmp_path.iterdir())) == 3 and not (tmp_path / "tvixbuild-nb-jobs-dead").exists()
    first.close()
    second.close()
    assert [path.name for path in tmp_path.iterdir()] == ["tvixbuild-nb-jobs-unknown"]


class Pool:
    """A pool that ends every job as it was told to, in this process."""

    address, slots, forks = "pool:", 1, False

    def __init__(self, *ends: object) -> None:
        self.ends = list(ends)
        self.exchange = SocketExchange()
        self.line = self.exchange.line
        self.hear, self.forget, self.close = self.exchange.hear, self.exchange.forget, self.exchange.close

    def submit(self, job: Job, unfit: object) -> Future[Answer | Unfit]:
        future: Future[Answer | Unfit] = Future()
        end = self.ends.pop(0)
        if isinstance(end, str):
            voice = job.line.open(job.key)
            voice.tell({"told": "started", "worker": end})
            voice.close()
            # As a pool that breaks: it does so when its worker is gone.
            end = BrokenExecutor(end)
        if isinstance(end, BaseException):
            future.set_exception(end)
        return future

    def cancel(self, job: str, future: Future[Answer | Unfit], worker: str | None) -> None:
        future.cancel()

    def stuck(self, unfit: object, future: object) -> bool:
        return False

    def is_loss(self, error: BaseException) -> bool:
        return isinstance(error, BrokenExecutor)


@pytest.fixture
def castore(tmp_path: object) -> Castore:
    return open_castore(f"file:{tmp_path}/store")


def built(service: BuildService) -> tuple[Any, RunRecord]:
    context = BuildContext(RunRecord.create())
    request = BuildRequest(command_args=["sh"], scratch_paths=["s"], outputs=["s/o"])
    return RefusalsAsResults(service).do_build(request, context), context.record


def test_what_a_worker_cannot_take_is_a_failure_not_a_loss(castore: Castore) -> None:
    service = WorkersBuildService(Pool(ModuleNotFoundError("No module named 'tvixbuild_nb'")), castore)
    result, record = built(service)
    assert (result.status, result.failed_at) == ("failed", "setup") and "ModuleNotFoundError" in result.message
    assert record.read_result() == result
    service.close()


def test_losses_of_jobs_that_had_not_begun_do_not_count(castore: Castore) -> None:
    pool = Pool(BrokenExecutor("x"), BrokenExecutor("x"), BrokenExecutor("x"), BrokenExecutor("x"), ValueError("end"))
    service = WorkersBuildService(pool, castore)
    result, _ = built(service)
    assert "ValueError: end" in result.message and result.degraded == () and pool.ends == []
    service.close()


def test_a_build_is_handed_over_three_times_when_its_workers_die(castore: Castore) -> None:
    placed: list[Placement] = []
    service = WorkersBuildService(Pool("w1", BrokenExecutor("queued"), "w2", "w3"), castore)
    context = BuildContext(RunRecord.create(), sent=placed.append)
    request = BuildRequest(command_args=["sh"], scratch_paths=["s"], outputs=["s/o"])
    result = service.do_build(request, context)
    assert result.message == "its workers were lost: w1, w2, w3" and len(result.degraded) == 3
    assert [(each.worker, each.lost) for each in placed if each.worker] == [
        ("w1", ()), ("w2", ("w1",)), ("w3", ("w1", "w2"))
    ]  # fmt: skip
    log = recorded(context.record)[0].decode()
    assert log == "[w1 was lost; built again elsewhere]\n[w2 was lost; built again elsewhere]\n"
    service.close()


def test_a_store_in_memory_is_refused() -> None:
    with pytest.raises(InvalidAddress, match="memory") as caught:
        WorkersBuildService(Pool(), open_castore("memory:"))
    assert caught.value.path == "store" and caught.value.hint
