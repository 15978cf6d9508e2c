"""How builds end before they are done: cancelled in each stage, timed out, interrupted, queued, many at once."""

from __future__ import annotations

import os
import signal
import time

import pytest

from support.kernels import Kernels, alive, descendants, eventually

pytestmark = pytest.mark.integration


def test_cancel_in_every_stage(kernels: Kernels) -> None:
    program = """
def cancelled(name, run):
    begun = time.monotonic()
    run.cancel()
    run.cancel()
    say(stage=name, took=time.monotonic() - begun, **verdict(run))
    say(stages=[event.stage for event in run.events if event.type == "stage" and event.state == "started"])
    run.delete()

def await_stage(run, stage):
    for event in run.events:
        if event.type == "stage" and event.stage == stage:
            return

long = dict(command="trap 'echo told; exit 0' TERM; echo ready; sleep 1000 & wait", inputs={"a": b"A"})
blockers = [sandbox(**long).start() for _ in range(2)]
for run in blockers:
    await_text(run, "ready")
cancelled("queue", sandbox(**long).start())
cancelled("run", blockers[0])
cancelled("run", blockers[1])
for stage in ("bundle", "mount", "run"):
    run = sandbox(**long).start()
    await_stage(run, stage)
    cancelled(stage, run)
many = "seq 20000 | sed 's/^/echo >/' >list; mkdir out; cd out; . ../list"
run = sandbox(many, working_dir="nix/store", outputs=["nix/store/out"]).start()
await_stage(run, "ingest")
cancelled("ingest", run)
say(**verdict(sandbox("true").run(show=False)))
"""
    *pairs, after = kernels.run(program)
    assert [found["stage"] for found in pairs[::2]] == ["queue", "run", "run", "bundle", "mount", "run", "ingest"]
    for found, reached in zip(pairs[::2], pairs[1::2], strict=True):
        assert (found["status"], found["failed_at"], found["outputs"]) == ("cancelled", None, []), found
        assert found["stage"] in reached["stages"]
        assert found["took"] < 15
    assert "bundle" not in pairs[1]["stages"]
    assert after["status"] == "succeeded"


def test_cancel_asks_before_it_kills(root_kernels: Kernels) -> None:
    asked, deaf = root_kernels.run(
        """
from tvixbuild_nb.build import BuildContext, BuildPolicy, RunRecord
for trap, grace in (("echo told; exit", 20), ("", 0.5)):
    sb = sandbox(f"sh -c 'trap \\"{trap}\\" TERM; echo ready; while :; do sleep 0.05; done'; :")
    run = Run.begin(service, sb.request, BuildContext(RunRecord.create(), BuildPolicy(grace=grace)))
    await_text(run, "ready")
    begun = time.monotonic()
    run.cancel()
    found = verdict(run)
    say(took=time.monotonic() - begun, **found)
    run.delete()
"""
    )
    assert asked["status"] == deaf["status"] == "cancelled"
    assert "told" in asked["log"].split() and asked["took"] < 15
    assert "told" not in deaf["log"] and deaf["took"] >= 0.5


def test_the_time_limit_is_for_the_command_and_its_bundle_is_kept(kernels: Kernels) -> None:
    found, after = kernels.run(
        """
run = sandbox("echo begun; sleep 1000 & sleep 1000").run(show=False, timeout=0.5)
say(wall=run.usage.wall, **verdict(run))
run.delete()
say(**verdict(sandbox("true").run(show=False, timeout=60)))
"""
    )
    assert (found["status"], found["failed_at"], found["log"]) == ("timed-out", None, "begun\n")
    assert "0.5 s" in found["message"] and 0.5 <= found["wall"] < 10
    assert after["status"] == "succeeded"


def test_ctrl_c_cancels_and_a_second_one_stops_the_waiting(root_kernels: Kernels) -> None:
    kernel = root_kernels.start(
        """
import io
sys.stderr = io.StringIO()
sb = sandbox("sh -c 'trap \\"\\" TERM; echo ready; while :; do sleep 0.05; done'; :")
def tell_when_it_runs(number):
    while sb.last_run is None:
        time.sleep(0.01)
    await_text(sb.last_run, "ready")
    say(running=number)
threading.Thread(target=tell_when_it_runs, args=[1], daemon=True).start()
run = sb.run()
say(**verdict(run))
run.delete()
sb.last_run = None
threading.Thread(target=tell_when_it_runs, args=[2], daemon=True).start()
try:
    sb.run()
    say(interrupted=False)
except KeyboardInterrupt:
    say(interrupted=True)
say(**verdict(sb.last_run))
sb.last_run.delete()
"""
    )
    assert kernel.hear() == {"running": 1}
    os.kill(kernel.pid, signal.SIGINT)
    assert kernel.hear()["status"] == "cancelled"
    assert kernel.hear() == {"running": 2}
    os.kill(kernel.pid, signal.SIGINT)
    time.sleep(0.2)  # two signals at once are one
    os.kill(kernel.pid, signal.SIGINT)
    assert kernel.hear() == {"interrupted": True}
    assert kernel.hear()["status"] == "cancelled"
    assert kernel.end() == 0


def test_ctrl_c_while_the_first_build_is_being_planned_leaves_no_build(root_kernels: Kernels) -> None:
    program = """
for patience in (0.0, 0.03, 0.1, 0.2):
    try:
        threading.Timer(patience, os.kill, [os.getpid(), 2]).start()
        run = sandbox("sleep 1000").run(show=False, keep="never")
        say(status=run.status)
    except KeyboardInterrupt:
        say(status="interrupted")
    deadline = time.monotonic() + 20
    while any(thread.name.startswith("build ") for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "a build goes on"
        time.sleep(0.01)
"""
    assert {found["status"] for found in root_kernels.run(program)} <= {"cancelled", "interrupted"}


def test_ctrl_c_at_the_start_of_a_program_leaves_no_build(root_kernels: Kernels) -> None:
    program = "say(begun=1)\nsandbox('sleep 1000').run(show=False, keep='never')\nsay(ended=1)"
    for patience in (0.02, 0.1, 0.3):
        kernel = root_kernels.start(program)
        kernel.hear()
        time.sleep(patience)
        family = descendants(kernel.pid)
        os.kill(kernel.pid, signal.SIGINT)
        kernel.end()
        eventually(lambda family=family: not any(alive(pid) for pid in family), "its processes are gone", 10)


def test_at_most_two_at_once_and_the_others_in_their_order(root_kernels: Kernels) -> None:
    (found,) = root_kernels.run(
        """
# Turns come free one by one: of two that begin at one moment, either may be the first to say so.
seconds = [0.2, 0.5, 0.6, 0.6, 0.6, 0.6]
def sb(number):
    return sandbox(f"echo {number}; sleep {seconds[number]}")
runs = []
for number in range(6):
    runs.append(sb(number).start())
    while not any(event.type == "stage" and event.stage == "queue" for event in runs[-1].events):
        time.sleep(0.005)
spans = []
for run in runs:
    run.wait(60)
    stages = {(event.stage, event.state): event.time for event in run.events if event.type == "stage"}
    spans.append((stages["bundle", "started"], stages["run", "finished"]))
say(spans=spans, status=[run.status for run in runs])
"""
    )
    spans = found["spans"]
    assert found["status"] == ["succeeded"] * 6
    begins = [begin for begin, _ in spans]
    assert begins == sorted(begins)
    for begin, _ in spans:
        assert sum(other <= begin < end for other, end in spans) <= 2


def test_many_builds_from_many_threads(kernels: Kernels) -> None:
    (found,) = kernels.run(
        """
from concurrent.futures import ThreadPoolExecutor
service = OCIBuildService(bundles, store, concurrency=4)
def one(number):
    fields = dict(inputs={"a": f"{number}".encode()}, outputs=["nix/store/out"], working_dir="nix/store")
    run = sandbox(f"cat a >out; [ {number} != 7 ]", **fields).run(show=False, keep="never", trace=number % 2 == 0)
    return run.status, run.outputs["nix/store/out"].read_text() if run.ok else None
with ThreadPoolExecutor(8) as pool:
    say(found=list(pool.map(one, range(24))))
"""
    )
    assert found["found"] == [["failed", None] if n == 7 else ["succeeded", str(n)] for n in range(24)]


def test_deleting_a_run_that_goes_on_cancels_it(kernels: Kernels) -> None:
    (found,) = kernels.run(
        """
run = sandbox("echo ready; sleep 1000").start()
await_text(run, "ready")
path = run.record.path
run.delete()
say(record=path.exists(), bundles=await_no_bundles(PLACE / "bundles"))
"""
    )
    assert found == {"record": False, "bundles": []}
