"""What a run uses while it goes on, with a cgroup and without one; short runs are not looked at."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from support.leftovers import Leftovers
from support.users import AsUser
from tvixbuild_nb import Run, Sandbox, open_castore
from tvixbuild_nb.build import OCIBuildService, UsageSample

pytestmark = pytest.mark.integration

BUSY = "while :; do :; done & sleep 60; wait"
# For an ordinary user: until two samples have been taken, by whoever asks.
AS_USER = """
import json, time
from tvixbuild_nb import Run, Sandbox
run = Sandbox("while :; do :; done & sleep 60; wait").start()
other, deadline = Run.open(run.id), time.monotonic() + 60
while (sample := other.record.read_sample()) is None or sample.load is None:
    assert time.monotonic() < deadline and run.running, run
    time.sleep(0.05)
run.cancel()
print(json.dumps([sample.model_dump(), str(run.wait().status)]))
"""


def sampled(run: Run, seconds: float = 60) -> UsageSample:
    """The first sample of ``run`` that has a load."""
    deadline = time.monotonic() + seconds
    while True:
        sample = run.record.read_sample()
        if sample is not None and sample.load is not None:
            return sample
        assert run.running and time.monotonic() < deadline, run
        time.sleep(0.05)


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_a_cgroup_tells_what_a_run_uses(
    passable_tmp: Path, tmp_path: Path, no_leftovers: Leftovers, runtime: str
) -> None:
    no_leftovers.warm = True
    service = OCIBuildService(passable_tmp / "bundles", open_castore(tmp_path / "store"), runtime=runtime)
    sandbox = Sandbox(BUSY, store=service.castore, builder=service)
    run = sandbox.start()
    try:
        sample = sampled(Run.open(run.id))
    finally:
        run.cancel()
    assert run.wait().status == "cancelled"
    # Two of the build's processes, and perhaps what enters the container beside them.
    assert sample.source == "cgroup" and 2 <= (sample.pids or 0) <= 20 and (sample.cpu or 0) > 0
    assert 0 < (sample.memory or 0) <= (sample.peak_memory or 0) < 1 << 30


@pytest.mark.usefixtures("root")
def test_a_short_run_is_not_looked_at(passable_tmp: Path, tmp_path: Path, no_leftovers: Leftovers) -> None:
    no_leftovers.warm = True
    service = OCIBuildService(passable_tmp / "bundles", open_castore(tmp_path / "store"))
    run = Sandbox("true", store=service.castore, builder=service).run(show=False)
    assert run.ok and run.record.read_sample() is None


def test_without_a_cgroup_the_processes_tell(as_user: AsUser) -> None:
    done = as_user(AS_USER)
    assert done.returncode == 0, done.stderr[-3000:]
    sample, status = json.loads(done.stdout)
    assert status == "cancelled" and sample["source"] == "processes"
    assert sample["pids"] >= 2 and sample["cpu"] > 0 and sample["load"] > 0
    assert 0 < sample["memory"] <= sample["peak_memory"]
