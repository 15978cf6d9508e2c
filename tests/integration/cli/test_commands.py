"""The command with the real runtime, the real FUSE and a terminal's signals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import IO

import pytest

from support.cli import Command, request_of, start_command
from support.leftovers import Leftovers
from support.users import AsUser
from tvixbuild_nb.castore import Digest, FileNode, open_castore
from tvixbuild_nb.cli.demo import Demo
from tvixbuild_nb.cli.screen import console
from tvixbuild_nb.request import BuildRequest

pytestmark = pytest.mark.integration

WAIT = 60.0


@pytest.fixture(autouse=True)
def places(root: None, no_leftovers: Leftovers, passable_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("runc", path=os.environ["PATH"] + ":/usr/sbin:/sbin") is None:
        pytest.skip("needs runc")
    monkeypatch.setenv("TVIXBUILD_NB_STORE", f"{passable_tmp}/store")
    monkeypatch.setenv("TVIXBUILD_NB_BUILDER", f"oci:{passable_tmp}/bundles")


def written(tmp_path: Path, request: BuildRequest) -> Path:
    path = tmp_path / "request.json"
    path.write_text(request.to_json())
    return path


def read_until(stream: IO[bytes] | None, text: bytes) -> bytes:
    assert stream is not None
    data = b""
    while text not in data:
        part = os.read(stream.fileno(), 65536)
        assert part, data
        data += part
    return data


def test_why_a_build_failed_is_told_once(command: Command, tmp_path: Path) -> None:
    request = written(tmp_path, request_of("echo > /opt", environment_vars={"A": "b"}))
    told = command("run", request, "--keep", "never", status=1)
    cause = "/opt is not below a scratch path, and the rest is read-only"
    assert told.count(cause) == 1 and "(certain)" in told and "do: sb.scratch_paths" in told and "hint" not in told
    assert told.index("failed at build") < told.index(cause) < told.index("  log: ")
    assert cause not in command.err
    # And where nothing is known, that is not dressed up.
    told = command("run", written(tmp_path, request_of("exit 3")), "--keep", "never", status=1)
    assert "the command ended with status 3" in told and "do:" not in told and "hint" not in told


def test_a_build_that_succeeds(command: Command, tmp_path: Path) -> None:
    script = "echo to stdout; echo to stderr >&2; mkdir /nix/store/out; echo a needle > /nix/store/out/f"
    request = written(tmp_path, request_of(script, refscan_needles=["absent", "needle"]))
    found = command.json("run", request)
    assert sorted(command.err.splitlines()) == ["to stderr", "to stdout"]
    assert [found[key] for key in ("status", "failed_at", "exit_code")] == ["succeeded", None, 0]
    (output,) = found["outputs"]
    assert [output[key] for key in ("path", "kind", "size", "needles")] == ["nix/store/out", "directory", 2, [1]]
    assert sorted(Path(found["log"]).read_text().splitlines()) == ["to stderr", "to stdout"]
    assert found["timings"]["run"] > 0 and found["usage"]["wall"] > 0 and found["bundle"] is None
    assert command("cat", f"{output['digest']}/f") == "a needle\n"
    (listed,) = command.json("runs")
    assert (listed["id"], listed["status"]) == (found["id"], "succeeded")


def test_a_build_that_fails(command: Command, tmp_path: Path) -> None:
    request = written(tmp_path, request_of("echo no; exit 3"))
    found = command.json("run", request, "--keep", "always", status=1)
    assert [found[key] for key in ("status", "failed_at", "exit_code")] == ["failed", "build", 3]
    bundle = Path(found["bundle"])
    assert bundle.is_dir()
    assert command.json("gc")["bundles_deleted"] == []
    shutil.rmtree(Path(found["log"]).parent)
    assert command.json("gc")["bundles_deleted"] == [str(bundle)]
    assert not bundle.exists()
    shown = command("run", request, "--keep", "never", status=1)
    assert "failed at build: the command ended with status 3" in shown


def test_a_missing_output_lists_what_was_written(command: Command, tmp_path: Path) -> None:
    request = written(tmp_path, request_of("echo > /nix/store/$(printf 'o\\ther')"))
    shown = command("run", request, "--keep", "never", status=1)
    assert "failed at output" in shown and "written: " in shown and "o\\ther" in shown


def test_a_time_limit(command: Command, tmp_path: Path) -> None:
    request = written(tmp_path, request_of("sleep 60"))
    found = command.json("run", request, "--timeout", "0.3", "--keep", "never", status=1)
    assert found["status"] == "timed-out"


def test_what_this_host_cannot_do_is_refused(command: Command, tmp_path: Path) -> None:
    constraints = {"system": "nowhere-none", "provide_bin_sh": True}
    assert command("run", written(tmp_path, request_of("true", constraints=constraints)), status=2) == ""
    assert "nowhere-none" in command.err
    unknown = request_of("true", inputs={"a": FileNode(Digest.of(b"?"), 1)})
    assert command("run", written(tmp_path, unknown), "--json", status=2) == ""
    assert "does not hold the input 'a'" in command.err
    assert command.json("runs") == []


def test_options_reach_the_build(command: Command, tmp_path: Path) -> None:
    request = written(tmp_path, request_of("echo > /nix/store/out"))
    found = command.json("run", request, "--observe", "--no-trace", "--inputs", "checkout", "--runtime", "runc")
    record = Path(found["log"]).parent
    assert (record / "inside.json").exists() and not (record / "accesses.json").exists()


def test_ctrl_c_cancels(tmp_path: Path) -> None:
    request = written(tmp_path, request_of("echo begun; sleep 60"))
    process = start_command("run", request, "--json", "--keep", "never")
    read_until(process.stderr, b"begun")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=WAIT)
    assert process.returncode == 130 and b"Traceback" not in err
    assert json.loads(out)["status"] == "cancelled"


def test_a_log_is_followed_from_another_process(command: Command, tmp_path: Path) -> None:
    request = written(tmp_path, request_of("echo begun; sleep 1; echo over > /nix/store/out; echo over"))
    builder = start_command("run", request, "--json")
    read_until(builder.stderr, b"begun")
    (listed,) = command.json("runs")
    assert listed["status"] == "running"
    assert command("log", listed["id"], "--follow") == "begun\nover\n"
    builder.communicate(timeout=WAIT)
    assert builder.returncode == 0


def test_mount_until_ctrl_c(command: Command, tmp_path: Path, passable_tmp: Path) -> None:
    source, there = tmp_path / "source", passable_tmp / "there"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "file").write_text("contents")
    there.mkdir()
    digest = command.json("ingest", source)["digest"]
    for stop in ("signal", "umount"):
        process = start_command("mount", f"{digest}/sub", there)
        deadline = time.monotonic() + WAIT
        while not (there / "file").exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        assert (there / "file").read_text() == "contents"
        if stop == "signal":
            process.send_signal(signal.SIGINT)
        else:
            subprocess.run(["umount", there], check=True)
        _, err = process.communicate(timeout=WAIT)
        assert (process.returncode, err, list(there.iterdir())) == (0, b"", [])


def test_mount_says_why_not(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    digest = command.json("ingest", tmp_path / "file")["digest"]
    command("mount", digest, tmp_path, status=1)
    assert "only a directory can be mounted" in command.err


def test_doctor(command: Command) -> None:
    found = command.json("doctor")
    assert found["ok"] is True
    assert "builds can run here" in command("doctor")


def needs_compiler() -> None:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc and libc6-dev")


def test_the_demo(command: Command) -> None:
    needs_compiler()
    shown = command("demo")
    assert "+ gcc -O2 -Wall" in shown and "I am process 1" in shown and "all of it was right" in shown
    assert [run["status"] for run in command.json("runs")] == ["succeeded", "succeeded"]


def test_the_demo_says_what_it_lacks(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_compiler()
    assert "tvixbuild-nb doctor" in command("demo", "--builder", "dummy:", status=1)
    monkeypatch.setenv("PATH", "/nowhere")
    command("demo", status=1)
    assert "there is no gcc on PATH" in command.err and "apt-get install gcc libc6-dev" in command.err


def test_the_demo_without_a_static_library(capfd: pytest.CaptureFixture[str]) -> None:
    needs_compiler()
    from tvixbuild_nb.build import build_service_from_addr

    with open_castore() as castore:
        builder = build_service_from_addr(os.environ["TVIXBUILD_NB_BUILDER"], castore)
        status = Demo(console(), castore, builder, static=False).tell()
        builder.close()
    assert status == 0, capfd.readouterr().out
    assert "libc.so" in capfd.readouterr().out


def test_the_demo_as_an_ordinary_user(as_user: AsUser) -> None:
    needs_compiler()
    done = as_user([as_user.python, "-m", "tvixbuild_nb", "demo"], timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all of it was right" in done.stdout
