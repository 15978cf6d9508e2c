"""Many builds on a Dask cluster: workers that die, that cannot build, that are told to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from distributed import Client

from support.kernels import eventually
from support.many import UNIQUE, check_all, executions, recorded, request_of, requests_of, row_when
from tvixbuild_nb import build_many, build_service_from_addr
from tvixbuild_nb.build import BuildPolicy
from tvixbuild_nb.build.workers.dasks import DaskPool
from tvixbuild_nb.build.workers.job import Answer, Job
from tvixbuild_nb.build.workers.worker import build_job
from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.errors import HostRefused, InvalidAddress

pytestmark = pytest.mark.integration


def test_fifty_requests_while_a_worker_is_killed(cluster: Client, store: Castore, jobs: Path) -> None:
    requests = requests_of(50, 0.6, same=8)
    processes = cluster.run(os.getpid)
    many = build_many(requests, cluster, store=store)
    row_when(many, lambda row: row.state == "succeeded")
    # One that has begun just now: what dies between its end and the word of it is built again.
    killed = row_when(many, lambda row: row.stage == "run" and row.seconds is not None and row.seconds < 0.4)
    os.kill(processes[killed.worker], signal.SIGKILL)
    check_all(many, requests)
    assert len(many.rows()) == executions(store) == recorded() == 42
    told = [row for row in many.rows() if row.lost]
    assert [row.lost for row in told] == [(killed.worker,)] and told[0].numbers == killed.numbers
    assert told[0].worker != killed.worker
    result = many[killed.numbers[0]]
    assert "it was lost while it built this" in result.degraded[-1]
    assert many.runs[killed.numbers[0]].log.text().count("was lost; built again elsewhere") == 1
    assert [path.name for path in jobs.iterdir()] == ["lock"]


def test_results_come_as_they_are_ready_and_one_is_cancelled(cluster: Client, store: Castore) -> None:
    requests = [request_of("echo begun; sleep 60"), *requests_of(4, 0.1, same=1), request_of("exit 3")]
    many = build_many(requests, cluster.get_executor(pure=False), store=store)
    row_when(many, lambda row: row.numbers == (0,) and row.tail == "begun")
    came = []
    for number, _ in many.as_completed():
        came.append(number)
        if len(came) == 5:
            assert 0 not in came
            many.cancel(requests[0].digest)
    assert sorted(came) == list(range(6)) and came[-1] == 0
    assert [result.status for result in many] == ["cancelled", *["succeeded"] * 4, "failed"]
    assert (many[5].failed_at, many[5].exit_code) == ("build", 3)
    run = many.runs[0]
    assert run is not None and run.log.text() == "begun\n" and run.config is not None and run.result is not None
    assert many[1].id == many[4].id and not many.ok


def test_the_address_of_a_scheduler_is_a_build_service(cluster: Client, store: Castore) -> None:
    service = build_service_from_addr(f"dask+{cluster.scheduler.address}", store)
    try:
        many = build_many(requests_of(3, 0, same=0), builder=service, store=store)
        assert {result.service for result in many} == {service.address} and many.ok
        assert all(result.worker in cluster.scheduler_info()["workers"] for result in many)
    finally:
        service.close()
    with pytest.raises(InvalidAddress, match="memory") as caught:
        build_service_from_addr(f"dask+{cluster.scheduler.address}", open_castore("memory:"))
    assert caught.value.hint and "file:" in caught.value.hint


def test_nobody_answers() -> None:
    with pytest.raises(HostRefused, match="no Dask scheduler"):
        build_service_from_addr("dask+tcp://127.0.0.1:1", None)


def test_a_worker_without_runtime_gets_nothing_and_says_why(cluster: Client, store: Castore, tmp_path: Path) -> None:
    # The place of the runtime is covered in a mount namespace of the worker's own.
    program = subprocess.run(["sh", "-c", "PATH=$PATH:/usr/sbin; command -v runc"], capture_output=True, text=True)
    cover = f'mount --bind /dev/null {program.stdout.strip()} && exec "$@"'
    start = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler.address]
    options = ["--no-nanny", "--nthreads", "2", "--no-dashboard", "--local-directory", str(tmp_path / "worker")]
    command = ["unshare", "--mount", "sh", "-c", cover, "sh", *start, *options]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as worker:
        try:
            cluster.wait_for_workers(3, timeout=60)
            able = cluster.run(os.path.isfile, program.stdout.strip()).items()
            without = next(address for address, sees in able if not sees)
            requests = requests_of(12, 0.1, same=0)
            many = build_many(requests, cluster, store=store)
            check_all(many, requests)
            assert list(many.unfit) == [without] and without not in {result.worker for result in many}
            unfit = many.unfit[without]
            assert unfit.reason == "runc is not installed" and unfit.report["runc"].status != "ok"
            assert f"gets nothing: {without}: runc is not installed" in str(many)
            assert executions(store) == 12
        finally:
            worker.terminate()


def test_when_no_worker_can_build_each_build_fails_at_setup(cluster: Client, store: Castore) -> None:
    many = build_many(requests_of(3, 0, same=0), cluster, store=store, runtime="/nowhere/crun")
    assert [(result.status, result.failed_at) for result in many] == [("failed", "setup")] * 3
    assert len(many.unfit) == 2 and "no worker can build" in (many[0].message or "")


def test_builds_end_when_whoever_wants_them_dies(cluster: Client, store: Castore, jobs: Path, tmp_path: Path) -> None:
    program = tmp_path / "owner.py"
    program.write_text(f"""
from distributed import Client
from support.many import request_of, row_when
from tvixbuild_nb import build_many
many = build_many([request_of("sleep 1000")], Client({cluster.scheduler.address!r}), store={store.address!r})
row_when(many, lambda row: row.stage == "run")
print("begun", flush=True)
many.wait()
""")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, env=environment) as owner:
        assert owner.stdout is not None and owner.stdout.readline() == b"begun\n"
        owner.kill()
    deadline = time.monotonic() + 10
    while [path.name for path in jobs.iterdir()] != ["lock"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_all_are_cancelled_and_nothing_goes_on_there(cluster: Client, store: Castore, jobs: Path) -> None:
    many = build_many([request_of(f"echo {number}; sleep 60") for number in range(12)], cluster, store=store)
    row_when(many, lambda row: row.stage == "run")
    began = time.monotonic()
    many.cancel()
    assert {result.status for result in many} == {"cancelled"} and time.monotonic() - began < 5
    assert recorded() == 12
    # A worker tells how it ended, and then takes the job's directory away.
    eventually(lambda: [path.name for path in jobs.iterdir()] == ["lock"], "no job is left on a worker")


def test_builds_that_are_stopped_as_they_begin_end_at_once(cluster: Client, store: Castore) -> None:
    for _ in range(4):
        many = build_many([request_of("sleep 60"), request_of("sleep 61")], cluster, store=store)
        row_when(many, lambda row: row.worker is not None)
        began = time.monotonic()
        many.cancel()
        assert {result.status for result in many} == {"cancelled"} and time.monotonic() - began < 5
        # They were told to end, and did: what else is known of them is a matter of who was quicker.
        notes = [text for result in many for text in result.degraded]
        assert all("only the result was heard of" in text for text in notes), notes


def test_the_scheduler_keeps_nothing_of_what_was_told(cluster: Client, store: Castore) -> None:
    def topics() -> list[str]:
        return [name for name in cluster.get_events() if name.startswith("tvixbuild-nb")]

    many = build_many(requests_of(3, 0.1, same=0), cluster, store=store)
    row_when(many, lambda row: row.state == "building")
    eventually(lambda: bool(topics()), "what workers tell goes by way of the scheduler")
    assert many.wait(show=False).ok
    eventually(lambda: not topics(), "the scheduler forgot it")


def test_what_was_told_before_a_loss_is_not_built_again(cluster: Client, store: Castore) -> None:
    """A task of the same key is what the cluster makes of one whose worker was lost."""
    pool = DaskPool(cluster)
    request = request_of(UNIQUE)
    policy = BuildPolicy()
    job = Job("job.0", request.to_bytes(), store.address, None, None, None, policy, pool.line)
    first = pool.submit(job, ()).result(60)
    again = cluster.submit(build_job, job, pure=False).result(60)
    assert isinstance(first, Answer) and isinstance(again, Answer)
    assert again.result == first.result and again.worker == first.worker and again.notes and executions(store) == 1
    other = cluster.submit(build_job, replace(job, key="job.1"), pure=False).result(60)
    assert isinstance(other, Answer) and other.notes == () and executions(store) == 2
    pool.close()


@pytest.mark.slow
def test_a_worker_that_hangs_does_not_hold_the_others(cluster: Client, store: Castore, jobs: Path) -> None:
    processes = cluster.run(os.getpid)
    many = build_many([request_of(f"echo {number}; sleep 60") for number in range(2)], cluster, store=store)
    row_when(many, lambda row: row.numbers == (0,) and row.stage == "run")
    hung = row_when(many, lambda row: row.numbers == (1,) and row.stage == "run").worker
    assert hung is not None
    os.kill(processes[hung], signal.SIGSTOP)
    try:
        began = time.monotonic()
        many.cancel()
        assert many[0].status == "cancelled" and time.monotonic() - began < 5
        assert many[1].status == "cancelled" and time.monotonic() - began < 25
        assert many[1].degraded == (f"{hung}: it could not be told to end this, or did not; it may go on there",)
    finally:
        os.kill(processes[hung], signal.SIGCONT)
    eventually(lambda: [path.name for path in jobs.iterdir()] == ["lock"], "it ends its build when it goes on")
