"""Many builds in process pools, threads and this process: what dies, what is refused, what stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from support.cli import start_command
from support.many import check_all, executions, recorded, request_of, requests_of, row_when
from tvixbuild_nb import Sandbox, build_many
from tvixbuild_nb.build import OCIBuildService, RunRecord
from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.errors import InvalidAddress, InvalidValue

pytestmark = pytest.mark.integration


def test_a_pool_one_of_whose_processes_is_killed(pool: ProcessPoolExecutor, store: Castore, jobs: Path) -> None:
    requests = requests_of(16, 0.3, same=3)
    many = build_many(requests, pool, store=store)
    row_when(many, lambda row: row.state == "succeeded")
    # One that has begun just now: what dies between its end and the word of it is built again.
    killed = row_when(many, lambda row: row.stage == "run" and row.seconds is not None and row.seconds < 0.2)
    assert killed.worker is not None
    os.kill(int(killed.worker.removeprefix("process ")), signal.SIGKILL)
    check_all(many, requests)
    assert len(many.rows()) == executions(store) == recorded() == 13
    # The pool ends its other process, too; what was only queued there was not lost.
    told = {row.numbers: row.lost for row in many.rows() if row.lost}
    assert told[killed.numbers] == (killed.worker,) and len(told) <= 2
    assert [path.name for path in jobs.iterdir()] == ["lock"]


def test_a_build_that_always_loses_its_worker_is_tried_three_times(pool: ProcessPoolExecutor, store: Castore) -> None:
    many = build_many([request_of("sleep 60")], pool, store=store)
    seen: list[str] = []
    while len(seen) < 3:
        row = row_when(many, lambda row: row.stage == "run" and row.worker not in (None, *seen))
        assert row.worker is not None
        seen.append(row.worker)
        os.kill(int(row.worker.removeprefix("process ")), signal.SIGKILL)
    assert (many[0].status, many[0].failed_at) == ("failed", "setup")
    assert many[0].message == f"its workers were lost: {', '.join(seen)}"


def test_what_works_here_is_cancelled_when_its_owner_dies(store: Castore, tmp_path: Path, passable_tmp: Path) -> None:
    code = f"""
import time
from concurrent.futures import ProcessPoolExecutor
from support.many import request_of, row_when
from tvixbuild_nb import build_many
if __name__ == "__main__":
    pool = ProcessPoolExecutor(1)
    many = build_many([request_of("sleep 1000")], pool, store={store.address!r})
    row_when(many, lambda row: row.stage == "run")
    print(*pool._processes, flush=True)
    time.sleep(1000)
"""
    program = tmp_path / "owner.py"
    program.write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, env=environment) as owner:
        assert owner.stdout is not None
        worker = int(owner.stdout.readline())
        owner.kill()
    deadline = time.monotonic() + 20
    bundles = passable_tmp / "bundles"
    while (left := [path for path in bundles.iterdir() if path.is_dir() and "views" not in path.name]) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.05)
    assert left == []
    # Python leaves such a process waiting for work that never comes.
    os.kill(worker, signal.SIGKILL)


def test_threads_and_this_process(store: Castore) -> None:
    requests = requests_of(8, 0.1, same=2)
    with ThreadPoolExecutor(2) as threads:
        check_all(build_many(requests, threads, store=store), requests)
    check_all(build_many(requests, store=store), requests)
    assert executions(store) == recorded() == 12


def test_a_service_runs_no_more_than_it_does_at_once(store: Castore, passable_tmp: Path) -> None:
    service = OCIBuildService(passable_tmp / "bundles", store, concurrency=3)
    many = build_many(requests_of(9, 0.4, same=0), builder=service, store=store)
    most = 0
    while not many.over:
        most = max(most, sum(row.state == "building" for row in many.rows()))
        time.sleep(0.02)
    assert most == 3 and many.ok
    service.close()


def test_a_sandbox_maps_with_what_it_has(store: Castore) -> None:
    sb = Sandbox("true", store=store)
    script = "echo $TOKEN > nix/store/o; echo"
    made = [Sandbox(f"{script} {number} $TOKEN", working_dir="", outputs=["nix/store/o"]) for number in range(2)]
    for each in made:
        each.env["TOKEN"], each.secrets = "hunter-two", ("TOKEN",)
    many = sb.map(made)
    assert many.wait(show=False).ok and "hunter-two" not in str(many)
    run = many.run(0)
    assert run is not None and run.redactor and "hunter-two" not in str(run.redactor.text(run.log.text()))
    assert [row.tail for row in many.rows()] == ["0 [secret TOKEN]", "1 [secret TOKEN]"]


def test_what_cannot_be_is_refused_before_anything_starts(pool: ProcessPoolExecutor, store: Castore) -> None:
    with open_castore("memory:") as memory, pytest.raises(InvalidAddress, match="memory") as caught:
        build_many([request_of("true")], pool, store=memory)
    assert caught.value.hint and "file:" in caught.value.hint
    for wrong in ({"executor": object()}, {"jobs": 0}):
        with pytest.raises(InvalidValue):
            build_many([request_of("true")], store=store, **wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="BuildRequest or a Sandbox") as wrong_one:
        build_many([request_of("true"), "true"], store=store)  # type: ignore[list-item]
    assert wrong_one.value.index == 1 and RunRecord.all() == []


def test_a_refused_request_takes_no_other_with_it(store: Castore) -> None:
    with open_castore("memory:") as elsewhere:
        node = elsewhere.ingest_bytes(b"only there")
    lacking = Sandbox("cat /nix/store/in", inputs={"in": node}, store=store)
    asked = [lacking.request, *requests_of(1, 0, same=0)]
    many = build_many(asked, store=store)
    assert [(result.status, result.failed_at) for result in many] == [("failed", "setup"), ("succeeded", None)]
    assert "does not hold the input 'in'" in (many[0].message or "")
    assert many.runs[0] is not None and many.runs[0].request == lacking.request


def test_long_logs_travel_in_part(pool: ProcessPoolExecutor, store: Castore) -> None:
    line = "of a log that is much too long to travel whole"
    lines = f"i=0; while [ $i -lt 60000 ]; do echo line $i {line}; i=$((i+1)); done"
    many = build_many([request_of(f"{lines}; echo > nix/store/o")], pool, store=store)
    run = many.wait(show=False).run(0)
    assert run is not None and run.result is not None and run.result.ok
    text = run.log.text()
    assert text.startswith("line 0 of") and text.endswith(f"line 59999 {line}\n")
    assert "bytes of the log stayed on the worker]" in text and len(text.encode()) == run.result.log_size < 3 << 20


def test_the_command_builds_several_requests(store: Castore, tmp_path: Path) -> None:
    requests = requests_of(3, 0, same=1)
    places = [str(tmp_path / f"{number}.json") for number in range(4)]
    for place, request in zip(places, [*requests, request_of("exit 7")], strict=True):
        Path(place).write_text(request.to_json())
    with start_command("run-many", *places, "--store", store.address, "--keep", "never", "--json") as process:
        assert process.stdout is not None and process.stderr is not None
        said, told = json.load(process.stdout), process.stderr.read().decode()
        assert process.wait() == 1
    assert [each["status"] for each in said["requests"]] == ["succeeded"] * 3 + ["failed"] and said["unfit"] == []
    assert said["requests"][0]["id"] == said["requests"][2]["id"] and said["requests"][3]["request"] == places[3]
    assert len(told.splitlines()) == 3 and "0, 2  succeeded" in told


def test_ctrl_c_cancels_all_of_them(store: Castore, tmp_path: Path) -> None:
    places = [tmp_path / f"{number}.json" for number in range(4)]
    for number, place in enumerate(places):
        place.write_text(request_of(f"echo {number}; sleep 600").to_json())
    with start_command("run-many", *places, "--store", store.address, "--jobs", "3") as process:
        deadline = time.monotonic() + 60
        while sum(record.path.joinpath("log").exists() for record in RunRecord.all()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert "builds: 4 cancelled" in process.stdout.read().decode()
        assert process.wait() == 130
