"""Requests whose builds can be told apart, and counted."""

from __future__ import annotations

import time
from collections.abc import Callable

from tvixbuild_nb.build import RunRecord, host_system
from tvixbuild_nb.castore import Castore
from tvixbuild_nb.request import BuildConstraints, BuildRequest
from tvixbuild_nb.sandbox import Many, ManyRow

# What no two executions agree on.
UNIQUE = "cat /proc/sys/kernel/random/uuid > nix/store/o"


def request_of(script: str) -> BuildRequest:
    """A request for a shell script at the root, whose output is nix/store/o."""
    return BuildRequest(
        command_args=["/bin/sh", "-c", script],
        scratch_paths=["nix/store"],
        outputs=["nix/store/o"],
        constraints=BuildConstraints(system=host_system(), provide_bin_sh=True),
    )


def requests_of(count: int, seconds: float, same: int) -> list[BuildRequest]:
    """``count`` requests, the last ``same`` of which repeat the first; each writes something that is its own."""
    scripts = [f"echo number {number}; sleep {seconds}; {UNIQUE}" for number in range(count - same)]
    return [request_of(script) for script in [*scripts, *scripts[:same]]]


def executions(store: Castore) -> int:
    """How often :data:`UNIQUE` came to its end, in a store that holds nothing else."""
    found = store.beginning_with("", 100_000)
    assert found is not None
    return len(found)


def recorded() -> int:
    """How many runs are recorded here."""
    return len(RunRecord.all())


def row_when(many: Many, wanted: Callable[[ManyRow], bool], seconds: float = 60) -> ManyRow:
    """The first row that is as wanted, as soon as there is one."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for row in many.rows():
            if wanted(row):
                return row
        time.sleep(0.01)
    raise AssertionError(str(many))


def check_all(many: Many, requests: list[BuildRequest]) -> None:
    """Every result is the one of its request, and is good."""
    for request, result, run in zip(requests, many.results, many.runs, strict=True):
        assert result.ok, result
        assert result.request_digest == request.digest
        assert run is not None and run.id == result.id and run.request == request
        said = request.command_args[-1].partition(";")[0].removeprefix("echo ")
        assert run.log.text().endswith(f"{said}\n")
        assert len(run.outputs["nix/store/o"].read_bytes()) == 37
