"""Output that is too much, too late, or read by nobody."""

from __future__ import annotations

import os
import signal
import time

import pytest

from support.kernels import Kernels, eventually

pytestmark = pytest.mark.integration


def test_two_hundred_megabytes_leave_the_owner_as_small_as_it_was(root_kernels: Kernels) -> None:
    (found,) = root_kernels.run(
        """
import io, resource
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
sandbox("true").run(show=False)
before = peak()
sys.stderr = io.StringIO()  # where the live log goes
files = {"build/chunk": "x" * 999_999 + "\\n"}
run = sandbox("for i in $(seq 200); do cat chunk; done; echo the end", additional_files=files).run()
shown = len(sys.stderr.getvalue())
sys.stderr = sys.__stderr__
events = sum(len(event.data) for event in run.events if event.type == "log")
say(grown=peak() - before, shown=shown, size=run.log.size, events=events, tail=run.log.tail(1)[0].text, **verdict(run))
"""
    )
    assert (found["status"], found["tail"]) == ("succeeded", "the end")
    assert found["size"] == found["events"] == 200_000_008
    assert found["shown"] < 2_000_000
    assert found["grown"] < 48_000_000


def test_the_last_line_is_never_lost(root_kernels: Kernels) -> None:
    (found,) = root_kernels.run(
        """
from concurrent.futures import ThreadPoolExecutor
def one(number):
    out, err = (sandbox(f"echo first; echo last {number} >&{fd}").run(show=False) for fd in (1, 2)) \\
        if number % 10 == 0 else (sandbox(f"echo first; echo last {number}").run(show=False),) * 2
    ends = [list(run.events)[-1].type for run in (out, err)]
    return all(run.log.text() == f"first\\nlast {number}\\n" for run in (out, err)) and ends == ["end", "end"]
with ThreadPoolExecutor(2) as pool:
    say(right=sum(pool.map(one, range(100))))
"""
    )
    assert found["right"] == 100


def test_a_reader_that_stands_still_blocks_nobody(root_kernels: Kernels) -> None:
    (found,) = root_kernels.run(
        """
run = sandbox("echo begin; head -c 20000000 /dev/zero | tr '\\\\0' x; echo; echo end").start()
events = run.events
kinds = [next(events).type for _ in range(3)]
run.wait(60)
rest = list(events)
kinds += [event.type for event in rest]
size = sum(len(event.data) for event in rest if event.type == "log")
offsets = [event.offset for event in rest if event.type == "log"]
say(last=kinds[-1], ordered=offsets == sorted(offsets), size=size, log=run.log.size, status=run.status)
"""
    )
    assert (found["status"], found["last"], found["ordered"]) == ("succeeded", "end", True)
    assert found["size"] <= found["log"] == 20_000_000 + len("begin\n\nend\n")
    assert found["log"] - found["size"] <= len("begin\n")


def test_a_frozen_owner_does_not_hold_up_its_build(kernels: Kernels) -> None:
    kernel = kernels.start(
        """
command = "cd /nix/store; echo ready; sleep 0.3; head -c 30000000 /dev/zero | tr '\\\\0' x; echo done; echo x >out"
run = sandbox(command, outputs=["nix/store/out"]).start()
await_text(run, "ready")
say(log=str(run.log.path))
say(**verdict(run))
"""
    )
    log = kernel.hear()["log"]
    os.kill(kernel.pid, signal.SIGSTOP)
    try:
        eventually(lambda: os.path.getsize(log) == 30_000_000 + len("ready\ndone\n"), "the build went on to its end")
    finally:
        os.kill(kernel.pid, signal.SIGCONT)
    found = kernel.hear()
    assert (found["status"], found["outputs"]) == ("succeeded", ["nix/store/out"])
    assert found["log"].endswith("xdone\n")
    assert kernel.end() == 0


def test_closed_streams_and_daemons_are_no_trouble(kernels: Kernels) -> None:
    started = time.monotonic()
    closed, stdin, daemons, held = kernels.run(
        """
def run(command):
    run = sandbox(command, working_dir="nix/store", outputs=["nix/store/out"]).run(show=False, timeout=30)
    say(**verdict(run))
run("exec <&- >&- 2>&-; sleep 0.1; echo x >out")
run("cat; read line; echo end of input; echo x >out")
run("for i in 1 2 3; do setsid sh -c '(sleep 1000 & sleep 1000) &' ; done; echo x >out; echo left")
run("(trap '' TERM HUP INT; while :; do sleep 1; done) & echo x >out; echo left")
"""
    )
    for found in (closed, stdin, daemons, held):
        assert found["status"] == "succeeded", found
    assert stdin["log"] == "end of input\n"
    assert daemons["log"] == held["log"] == "left\n"
    assert time.monotonic() - started < 40
