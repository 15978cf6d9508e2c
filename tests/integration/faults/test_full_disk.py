"""A full disk under the bundles, the store, the run's record: what happened is said, nothing half-made stays."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.kernels import Kernels
from support.users import passable_directory

pytestmark = pytest.mark.integration
SIZE = 3 << 20


@pytest.fixture
def small(root: None) -> Iterator[Path]:
    """A file system of 3 MB that anybody may fill; namespaces of other tests may hold on to it for a while."""
    with passable_directory() as path:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=1777", "small", path], check=True)
        try:
            yield path
        finally:
            subprocess.run(["umount", "--lazy", path], check=True)


def test_a_full_store_is_an_ingest_failure_without_half_a_blob(small: Path, kernels: Kernels) -> None:
    large, many, after, left = kernels.run(
        """
def run(command):
    run = sandbox(command, working_dir="nix/store", outputs=["nix/store/out"]).run(show=False, keep="never")
    say(**verdict(run))
run("head -c 5000000 /dev/urandom >out")
run("mkdir out; for i in $(seq 100); do head -c 60000 /dev/urandom >out/$i; done")
run("echo small >out")
place = Path(os.environ["FAULT_STORE"])
files = [path for path in place.rglob("*") if path.is_file()]
half = [str(path) for path in files if path.relative_to(place).parts[0] in ("blobs", "tmp")]
say(half=half, size=sum(path.stat().st_blocks * 512 for path in files))
""",
        FAULT_STORE=str(small / "store"),
    )
    for found in (large, many):
        assert (found["status"], found["failed_at"]) == ("failed", "ingest"), found
        assert "No space left on device" in found["message"] or "full" in found["message"]
        assert str(small) in found["message"]
        assert "gc" in found["hint"]
    assert after["status"] == "succeeded"
    assert left["half"] == []
    assert left["size"] < SIZE // 2


def test_a_full_bundle_root_is_a_setup_failure(small: Path, kernels: Kernels) -> None:
    said = kernels.run(
        """
place = Path(os.environ["FAULT_BUNDLES"])
say(**verdict(sandbox("true").run(show=False)))
def fill(leave):
    await_no_bundles(place)
    with open(place / "ballast", "wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096): pass
        except OSError: pass
        file.truncate(max(0, file.tell() - leave))
for leave in (0, 4096, 8192, 16384, 40960):
    fill(leave)
    say(**verdict(sandbox("true").run(show=False, keep="never")))
    (place / "ballast").unlink()
say(**verdict(sandbox("head -c 5000000 /dev/zero >/build/x", ).run(show=False, keep="never")))
say(**verdict(sandbox("true").run(show=False)))
say(left=await_no_bundles(place))
""",
        FAULT_BUNDLES=str(small / "bundles"),
    )
    first, *full, inside, last, end = said
    assert first["status"] == last["status"] == "succeeded"
    for found in full:
        if found["status"] != "succeeded":
            assert (found["status"], found["failed_at"]) == ("failed", "setup"), found
            assert "no space left on device" in found["message"].lower(), found
    assert full[0]["status"] == "failed" and str(small) in full[0]["message"] and full[0]["hint"]
    assert (inside["status"], inside["failed_at"]) == ("failed", "build")
    assert "head: standard output: " in inside["log"]
    assert end == {"left": []}


def test_a_full_state_directory_loses_log_and_says_so(small: Path, kernels: Kernels) -> None:
    said = kernels.run(
        """
from tvixbuild_nb.errors import HostRefused
state = Path(os.environ["TVIXBUILD_NB_STATE"])
command = "echo begin; head -c 8000000 /dev/zero | tr '\\\\0' x; echo x >out"
run = sandbox(command, working_dir="nix/store", outputs=["nix/store/out"]).run(show=False, keep="never")
events = list(run.events)
text = run.outputs["nix/store/out"].read_text()
say(size=run.log.size, begin=run.log.bytes()[:6].decode(), output=text, **verdict(run))
try:
    ballast = open(state / "ballast", "wb", buffering=0)
    while ballast.write(b"x" * 4096): pass
except OSError: pass
try:
    sandbox("true").run(show=False)
    say(refused=None)
except HostRefused as error:
    say(refused=error.message, path=error.path, hint=error.hint)
run.delete()
(state / "ballast").unlink()
say(**verdict(sandbox("echo fine").run(show=False)))
""",
        TVIXBUILD_NB_STATE=str(small / "state"),
    )
    full, refused, after = said
    assert (full["status"], full["begin"], full["output"]) == ("succeeded", "begin\n", "x\n")
    assert 0 < full["size"] < SIZE
    (lost,) = [text for text in full["degraded"] if text.startswith("log: ")]
    assert "bytes were lost: No space left on device" in lost
    assert int(lost.split()[1]) == 8_000_006 - full["size"]
    assert "No space left on device" in refused["refused"] and refused["path"].startswith(str(small))
    assert "TVIXBUILD_NB_STATE" in refused["hint"]
    assert (after["status"], after["log"]) == ("succeeded", "fine\n")
