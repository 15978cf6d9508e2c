"""The look for leftovers sees what a build holds while it runs, and nothing of it afterwards."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from support.leftovers import Leftovers
from tvixbuild_nb import Sandbox
from tvixbuild_nb.build import OCIBuildService
from tvixbuild_nb.castore import open_castore

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("trace", [True, False])
def test_a_running_build_is_seen_and_an_ended_one_leaves_nothing(
    trace: bool, root: None, passable_tmp: Path, no_leftovers: Leftovers
) -> None:
    no_leftovers.warm = not trace
    with open_castore(f"file:{passable_tmp}/store") as castore:
        service = OCIBuildService(passable_tmp / "bundles", castore)
        sandbox = Sandbox(
            command=["/bin/sh", "-c", "read x < /nix/store/src; sleep 60"],
            outputs=["nix/store/out"],
            store=castore,
            builder=service,
        )
        sandbox.add_input("src", b"x\n")
        run = sandbox.start(trace=trace, keep="never")
        deadline = time.monotonic() + 20
        while "process" not in (kinds := {line.split()[0] for line in no_leftovers.find()}) or "mount" not in kinds:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert "bundle:" in kinds
        run.cancel()
        assert run.wait().status == "cancelled"
        service.close()
