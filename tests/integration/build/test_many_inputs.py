"""A build with more inputs than one datagram has names for; and what a runtime says to which they are too many."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from support.leftovers import Leftovers
from tvixbuild_nb import Run, Sandbox, SpecOptions, open_castore
from tvixbuild_nb.build import OCIBuildService
from tvixbuild_nb.keeper.messages import MAX_DATAGRAM

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]

COUNT = 1500
# From here on mount sources do not go through a netlink message.
RUNC_TAKES_ANY = (1, 2)


@pytest.fixture
def service(passable_tmp: Path, tmp_path: Path, no_leftovers: Leftovers) -> OCIBuildService:
    no_leftovers.warm = True
    return OCIBuildService(passable_tmp / "bundles", open_castore(tmp_path / "store"))


def _run(service: OCIBuildService, runtime: str, options: SpecOptions | None = None) -> Run:
    service = OCIBuildService(service.address.removeprefix("oci:"), service.castore, runtime=runtime)
    script = "ls /nix/store > names; wc -l < names; cat /nix/store/*-input-1499"
    sandbox = Sandbox(script, store=service.castore, builder=service, options=options, provide_bin_sh=True)
    node = service.castore.ingest_bytes(b"the last\n")
    sandbox.inputs.update({f"{number:032d}-input-{number}": node for number in range(COUNT)})
    assert len(sandbox.request.to_json()) > MAX_DATAGRAM
    return sandbox.run(show=False, keep="never")


def test_so_many_inputs_are_there(service: OCIBuildService) -> None:
    run = _run(service, "crun", SpecOptions.for_host(rlimits={"RLIMIT_NOFILE": 4 * COUNT}))
    assert run.ok and run.log.text().split() == [str(COUNT), "the", "last"], str(run)


def test_a_runtime_that_does_not_take_so_many_is_told_of(service: OCIBuildService) -> None:
    run = _run(service, "crun")
    assert run.failed_at == "setup" and "RLIMIT_NOFILE" in (run.hint or ""), str(run)
    run = _run(service, "runc")
    version = subprocess.run(["runc", "--version"], check=True, capture_output=True, text=True).stdout
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < RUNC_TAKES_ANY:
        assert run.failed_at == "setup" and 'runtime="crun"' in (run.hint or ""), str(run)
    else:
        assert run.ok, str(run)
