"""What a build uses while it goes on, as its supervisor writes it down."""

from __future__ import annotations

import json
import math
import os
import subprocess
import time
from pathlib import Path

from tvixbuild_nb.build import RunRecord, UsageSample
from tvixbuild_nb.keeper.sampling import Sampler

SOON = 0.05


def _await_due(sampler: Sampler) -> None:
    time.sleep(sampler.left())


def test_processes_are_summed_up_where_there_is_no_cgroup(tmp_path: Path) -> None:
    record = RunRecord.create(tmp_path)
    sampler = Sampler(str(record.sample_path), None, SOON)
    assert record.read_sample() is None and 0 < sampler.left() <= SOON
    with subprocess.Popen(["sh", "-c", "while :; do :; done"]) as busy:
        try:
            sampler.take(busy.pid)
            assert record.read_sample() is None, "a short build is never sampled"
            _await_due(sampler)
            sampler.take(busy.pid)
            first = record.read_sample()
            second = first
            # All of this pid namespace are summed up: where others end meanwhile, the sum falls.
            for _ in range(100):
                _await_due(sampler)
                sampler.take(busy.pid)
                second = record.read_sample()
                if second is not None and (second.load or 0) > 0.05:
                    break
        finally:
            busy.kill()
    assert isinstance(first, UsageSample) and first.source == "processes" and first.load is None
    assert first.pids and first.memory and first.cpu is not None and first.peak_memory == first.memory
    assert second is not None and second.load is not None and second.load > 0.05
    assert second.time > first.time and (second.peak_memory or 0) >= (first.peak_memory or 0)
    assert sorted(path.name for path in record.path.iterdir()) == ["sample.json"]


def test_where_nothing_can_be_written_nobody_tries_again(tmp_path: Path) -> None:
    sampler = Sampler(str(tmp_path / "gone" / "sample.json"), None, SOON)
    _await_due(sampler)
    sampler.take(os.getpid())
    assert sampler.left() == math.inf


def test_an_ended_process_counts_for_nothing(tmp_path: Path) -> None:
    sampler = Sampler(str(tmp_path / "sample.json"), None, SOON)
    with subprocess.Popen(["true"]) as ended:
        pass
    _await_due(sampler)
    sampler.take(ended.pid)
    assert json.loads((tmp_path / "sample.json").read_text())["pids"] == 0
