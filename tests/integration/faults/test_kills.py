"""SIGKILL for everybody who takes part in a build: a verdict where somebody can read it, nothing left behind."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
import uuid
from pathlib import Path

import pytest

from support.kernels import Family, Kernel, Kernels, command, descendants, eventually, gone

pytestmark = pytest.mark.integration

# Holds an input open, so that the view is busy, and works in a process that is not the first one.
BUILD = """
mark = os.environ["FAULT_MARK"]
def build(keep="failure"):
    command = f": {mark}; exec 3</nix/store/a; echo ready; sleep 1000; :"
    return sandbox(command, inputs={"a": b"A"}, outputs=["nix/store/out"]).start(keep=keep)
"""
WATCHED = (
    BUILD
    + """
run = build()
await_text(run, "ready")
say(ready=run.id)
say(**verdict(run), causes=[one.cause for one in run.explain()])
again = sandbox("cat /nix/store/a >/nix/store/out", inputs={"a": b"A"}, outputs=["nix/store/out"]).run(show=False)
say(**verdict(again))
run.delete()
"""
)
ALONE = BUILD + "run = build(); await_text(run, 'ready'); say(ready=run.id); time.sleep(1000)"
SWEEP = "say(**verdict(sandbox('true').run(show=False)))"


def start(kernels: Kernels, program: str) -> tuple[Kernel, Family]:
    mark = uuid.uuid4().hex
    kernel = kernels.start(program, FAULT_MARK=mark)
    assert "ready" in kernel.hear()
    return kernel, Family(kernel.pid, mark)


def kill(*pids: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # it died with the one before
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("victim", ["outer", "inner", "supervisor", "fs", "view"])
def test_a_killed_helper_is_a_setup_failure_and_the_next_build_works(kernels: Kernels, victim: str) -> None:
    kernel, family = start(kernels, WATCHED)
    mortal = [family.supervisor, family.init, family.view, *descendants(family.init)]
    kill(getattr(family, victim))
    verdict = kernel.hear()
    assert (verdict["status"], verdict["failed_at"]) == ("failed", "setup")
    assert ("file system process" if victim in ("fs", "view") else "keeper") in verdict["message"]
    assert "run it again" in verdict["hint"] and verdict["causes"] == [verdict["message"]]
    assert verdict["bundle"] is None
    again = kernel.hear()
    assert (again["status"], again["inputs"]) == ("succeeded", "fuse"), again
    assert [text for text in again["degraded"] if not text.startswith("cgroups")] == []
    assert kernel.end() == 0
    eventually(gone([*mortal, *family.all()]), "all processes are gone", 5)
    assert kernel.bundles == []


def test_a_killed_first_process_is_the_builds_failure(kernels: Kernels) -> None:
    kernel, family = start(kernels, WATCHED)
    mortal = descendants(family.supervisor)
    kill(family.init)
    verdict = kernel.hear()
    assert (verdict["status"], verdict["failed_at"], verdict["signal"]) == ("failed", "build", signal.SIGKILL)
    # Out of memory looks the same, so its bundle is kept to be looked at.
    assert verdict["bundle"] is not None
    assert kernel.hear()["status"] == "succeeded"
    assert kernel.end() == 0
    eventually(gone(mortal), "the sandbox's processes are gone", 5)
    assert kernel.bundles == []


def test_a_runtime_killed_while_it_starts_is_a_setup_failure(kernels: Kernels, slow_runc: Path) -> None:
    program = """
run = sandbox("true").start()
say(started=run.id)
say(**verdict(run))
say(**verdict(sandbox("true").run(show=False)))
"""
    kernel = kernels.start(program, FAULT_RUNTIME=str(slow_runc))
    kernel.hear()
    runtime: list[int] = []

    def starts() -> bool:
        runtime[:] = [pid for pid in descendants(kernel.pid) if command(pid).startswith("sleep 1000")]
        return bool(runtime)

    eventually(starts, "the runtime is started")
    kill(*runtime)
    verdict = kernel.hear()
    assert (verdict["status"], verdict["failed_at"]) == ("failed", "setup")
    assert verdict["message"] == "runc was killed by SIGKILL"
    assert verdict["bundle"] is None
    assert kernel.hear()["status"] == "succeeded"
    assert kernel.end() == 0
    assert kernel.bundles == []


@pytest.mark.parametrize("victims", ["kernel", "kernel inner", "kernel fs", "kernel init"])
def test_a_killed_kernel_takes_everything_along(kernels: Kernels, victims: str) -> None:
    kernel, family = start(kernels, ALONE)
    everybody = family.all()
    kill(*(getattr(family, name) for name in victims.split()))
    eventually(gone(everybody), "all processes are gone", 10)
    assert kernel.bundles == []
    assert kernels.cgroups() == []


@pytest.mark.parametrize("victims", ["kernel outer inner"])
def test_what_nobody_was_left_to_delete_is_swept_at_the_next_start(kernels: Kernels, victims: str) -> None:
    kernel, family = start(kernels, ALONE)
    everybody = family.all()
    kill(*(getattr(family, name) for name in victims.split()))
    eventually(gone(everybody), "all processes are gone", 10)
    assert kernels.run(SWEEP)[0]["status"] == "succeeded"
    assert kernel.bundles == []
    assert kernels.cgroups() == []


def test_a_kernel_killed_at_any_moment_leaves_nothing(kernels: Kernels) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    program = BUILD + "say(begun=1); run = build(); say(ready=1); run.wait()"
    started = [kernels.start(program, FAULT_MARK=uuid.uuid4().hex) for _ in range(2)]
    for _ in range(6):
        kernel = started.pop(0)
        kernel.hear()
        time.sleep(chance.uniform(0, 0.6))
        family = descendants(kernel.pid)
        kill(kernel.pid)
        kernel.close()
        started.append(kernels.start(program, FAULT_MARK=uuid.uuid4().hex))
        eventually(gone(family), "its processes are gone", 15)
    families = [pid for kernel in started for pid in descendants(kernel.pid)]
    for kernel in started:
        kernel.close()
    eventually(gone(families), "all processes are gone", 15)
    eventually(lambda: not any(path.is_dir() for path in kernels.place.glob("bundles/*")), "no bundle is left", 10)


def test_a_kernel_that_takes_its_time_to_die_leaves_nothing(kernels: Kernels) -> None:
    # Its files close first, the socket to the keeper among them.
    kernel = kernels.start(
        """
sandbox("cat /nix/store/a", inputs={"a": b"A"}).run(show=False, trace=False)
say(warm=[path.name for path in (PLACE / "bundles").glob("*.views")])
os.closerange(3, 4096)
time.sleep(1.5)
os._exit(0)
"""
    )
    warm = kernel.hear()
    assert len(warm["warm"]) == 1, warm
    kernel.end()
    eventually(lambda: not list(kernels.place.glob("bundles/*")), "neither view nor lock is left", 10)
