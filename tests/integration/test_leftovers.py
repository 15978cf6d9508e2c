"""The look for leftovers sees what a build holds while it runs, and nothing of it afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
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


def test_what_a_program_from_before_starts_is_not_this_tests() -> None:
    with subprocess.Popen(["/bin/sh", "-c", "read x; sleep 60; :"], stdin=subprocess.PIPE) as before:
        assert before.stdin is not None
        leftovers = Leftovers("no mark")
        try:
            before.stdin.write(b"go\n")
            before.stdin.flush()
            deadline = time.monotonic() + 20
            while not (children := Path(f"/proc/{before.pid}/task/{before.pid}/children").read_text().split()):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert leftovers.find() == []
            with subprocess.Popen(["/bin/sleep", "60"]) as ours:
                assert [line for line in leftovers.find() if f"process {ours.pid}" in line]
                ours.kill()
        finally:
            before.kill()
            for child in children:
                os.kill(int(child), signal.SIGKILL)
