"""runs, log and gc over records made by a build service of the tests; run where nothing is started."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console

from support.cli import Command, on_terminal, request_of, start_command
from tvixbuild_nb.build import BuildContext, DummyBuild, DummyBuildService, RunRecord
from tvixbuild_nb.castore import Castore, Node, open_castore
from tvixbuild_nb.cli.summary import result_summary, show_result
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.sandbox import Run

LOG = b"one\n\xff\x1b[2Jtwo\n"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "store"
    monkeypatch.setenv("TVIXBUILD_NB_STORE", str(path))
    return path


def build(castore: Castore, request: BuildRequest, output: bytes = b"made") -> Run:
    """A run that printed ``LOG`` and whose outputs hold ``output``."""

    def script(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
        build.print(LOG)
        build.print(b"err\n", "stderr")
        return {path: castore.ingest_bytes(output) for path in request.outputs}

    return Run.begin(DummyBuildService(castore, script), request, BuildContext(RunRecord.create())).wait()


@pytest.fixture
def run(store: Path) -> Run:
    with open_castore() as castore:
        request = request_of("make\n\x1b[2J[red]", inputs={"in": castore.ingest_bytes(b"input")})
        return build(castore, request)


def test_no_runs(command: Command) -> None:
    assert command("runs") == "no runs are recorded\n"
    assert command.json("runs") == []


def test_runs_are_listed_newest_first(command: Command, run: Run, store: Path) -> None:
    (run.record.path.parent / "00000000-000000-000000").mkdir()
    with open_castore() as castore:
        failed = build(castore, request_of("x", outputs=["build/none"]), b"")
    newest, *rest = command.json("runs")
    assert {newest["id"], rest[0]["id"]} == {run.id, failed.id}
    by_id = {each["id"]: each for each in (newest, *rest)}
    assert by_id[run.id]["status"] == "succeeded" and by_id[run.id]["outputs"] == ["nix/store/out"]
    assert by_id["00000000-000000-000000"]["status"] == "damaged"
    shown = command("runs")
    assert run.id in shown and "make\\n\\x1b[2J[red]" in shown and "\x1b" not in shown


def test_runs_say_what_changed_and_why_one_failed(command: Command, store: Path) -> None:
    with open_castore() as castore:
        first = build(castore, request_of("make"))
        failed = build(castore, request_of("make", environment_vars={"A": "b\x1b"}))
    (newest, before) = sorted(command.json("runs"), key=lambda each: each["id"] != failed.id)
    assert (newest["changes"], before["changes"]) == (["environment_vars[A]: + b\\x1b"], None)
    assert newest["request"] == str(failed.request.digest) and before["id"] == first.id
    assert "environment_vars[A]: + b\\x1b" in command("runs") and "nothing to compare with" in command("runs")


@pytest.mark.parametrize("width", [60, 140])
def test_runs_on_a_terminal_narrow_and_wide(run: Run, width: int) -> None:
    shown = re.sub(r"\x1b\[[0-9;]*m", "", on_terminal("runs", width=width))
    lines = shown.splitlines()
    assert max(map(len, lines)) <= width and run.id in shown
    assert ("what changed" in shown) == (width > 130) and "\x1b[2J" not in shown


def test_log_is_what_was_written(command: Command, run: Run) -> None:
    command("log", run.id)
    assert command.out == LOG + b"err\n"
    command("log", run.id[:-2], "--follow", "--stream", "stderr")
    assert command.out == b"err\n"
    command("log", run.id, "--stream", "stdout")
    assert command.out == LOG
    command("log", run.id, "--stream", "terminal")
    assert command.out == b""


def test_an_unknown_run(command: Command, run: Run) -> None:
    assert command("log", "nope", status=1) == ""
    assert "no run with the id 'nope'" in command.err and "tvixbuild-nb runs" in command.err


def test_gc_keeps_what_runs_and_pins_need(command: Command, run: Run, store: Path) -> None:
    with open_castore() as castore:
        castore.ingest_bytes(b"garbage")
        castore.pin("mine", castore.ingest_bytes(b"pinned"))
    would = command.json("gc", "--dry-run")
    assert (would["dry_run"], would["blobs_deleted"], would["bytes_deleted"], would["blobs_kept"]) == (True, 1, 7, 3)
    assert "would delete 1 blob (7 B)" in command("gc", "--dry-run")
    did = command.json("gc")
    assert (did["dry_run"], did["blobs_deleted"], did["blobs_kept"]) == (False, 1, 3)
    assert "deleted 0 blobs" in command("gc")
    with open_castore() as castore:
        assert all(castore.has_closure(node) for node in run.request.inputs.values())
    assert command("cat", str(run.outputs["nix/store/out"].digest)) == "made"
    run.delete()
    assert command.json("gc")["blobs_deleted"] == 2


def test_gc_does_not_guess_what_a_damaged_record_needs(command: Command, run: Run) -> None:
    (run.record.path / "result.json").write_text("{")
    assert command("gc", status=1) == ""
    assert str(run.record.path) in command.err and f"hint: give it up with: tvixbuild-nb rm {run.id}" in command.err
    command("rm", run.id)
    command("gc")


def test_gc_removes_kept_bundles_of_deleted_runs(command: Command, run: Run, tmp_path: Path) -> None:
    root = tmp_path / "bundles"
    for name, record in (("kept-1", run.record.path), ("kept-2", tmp_path / "gone"), ("other", tmp_path / "gone")):
        (root / name / "root").mkdir(parents=True)
        (root / name / "record").symlink_to(record)
    stale = str(root / "kept-2")
    assert command.json("gc", "--dry-run", "--builder", f"oci:{root}")["bundles_deleted"] == [stale]
    assert os.path.exists(stale)
    assert command.json("gc", "--builder", f"oci:{root}")["bundles_deleted"] == [stale]
    assert sorted(os.listdir(root)) == ["kept-1", "other"]


def test_gc_does_the_rest_where_the_store_collects_nothing(command: Command, tmp_path: Path) -> None:
    stale = tmp_path / "bundles" / "kept-1"
    (stale / "root").mkdir(parents=True)
    (stale / "record").symlink_to(tmp_path / "gone")
    told = command("gc", "--builder", f"oci:{stale.parent}", "--store", f"objectstore+file:{tmp_path}/far", status=1)
    assert told.split() == ["deleted", "the", "bundle", str(stale)] and not stale.exists()
    assert "collects no garbage" in command.err and "castore sync" in command.err


def test_rm(command: Command, run: Run, store: Path) -> None:
    with open_castore() as castore:
        others = [build(castore, request_of("x")) for _ in range(2)]
    assert command("rm", run.id) == f"deleted {run.id}\n"
    assert {each["id"] for each in command.json("runs")} == {other.id for other in others}
    found = command.json("rm", *[other.id for other in others], others[0].id)
    assert found == [{"id": other.id, "bundle": None} for other in others]
    assert command.json("runs") == []


def test_rm_takes_the_kept_bundle_along(command: Command, run: Run, tmp_path: Path) -> None:
    bundle = tmp_path / "kept"
    (bundle / "root").mkdir(parents=True)
    assert run.result is not None
    run.record.write_result(run.result.model_copy(update={"bundle": bundle}))
    assert command("rm", run.id) == f"deleted {run.id} and its kept bundle {bundle}\n"
    assert not bundle.exists()


def test_rm_deletes_nothing_when_one_is_unknown_or_goes_on(command: Command, run: Run) -> None:
    assert command("rm", run.id, "nope", status=1) == ""
    assert "no run with the id 'nope'" in command.err
    with run.record.held():
        assert command("rm", run.id, status=1) == ""
    assert f"{run.id}: this run goes on" in command.err
    assert [each["id"] for each in command.json("runs")] == [run.id]


@pytest.mark.parametrize("name", ["request.json", "result.json"])
def test_rm_deletes_what_is_damaged(command: Command, run: Run, name: str) -> None:
    (run.record.path / "result.json").unlink()
    (run.record.path / name).write_text("{")
    assert command.json("rm", run.id) == [{"id": run.id, "bundle": None}]
    assert not run.record.path.exists()


@pytest.mark.parametrize(("kills", "words"), [(None, None), (0, None), (1, "killed 1 process "), (2, "2 processes ")])
def test_processes_killed_for_memory_are_told_also_after_success(
    run: Run, kills: int | None, words: str | None
) -> None:
    assert run.result is not None and run.ok
    result = run.result.model_copy(update={"usage": run.result.usage.model_copy(update={"oom_kills": kills})})
    screen = Console(file=io.StringIO(), width=200)
    with screen.capture() as capture:
        show_result(screen, result, run.record.log_path)
    assert ("out of memory" in capture.get()) == (words is not None) and (words or "") in capture.get()
    assert result_summary(result, run.record)["usage"]["oom_kills"] == kills


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    path = tmp_path / "request.json"
    path.write_text(request_of("true").to_json())
    return path


def test_a_failed_build_is_one_object_and_status_1(command: Command, store: Path, request_file: Path) -> None:
    found = command.json("run", request_file, "--builder", "dummy:", status=1)
    assert (found["status"], found["failed_at"], found["exit_code"], found["outputs"]) == ("failed", "setup", None, [])
    assert found["log"] == f"{RunRecord.open(found['id']).path}/log" and found["usage"]["source"]
    assert "failed at setup" in command("run", request_file, "--builder", "dummy:", status=1)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--builder", "nope:"], "known: dummy:, oci:"),
        (["--builder", "dummy:", "--runtime", "runc"], "no choice of runtimes"),
        (["--store", "nope:/x"], "known schemes"),
        (["--store", "/proc/none/store"], "/proc/none"),
        (["--builder", "oci:relative"], "absolute"),
        (["--runtime", "nope"], "runc or crun"),
    ],
)
def test_what_cannot_be_used_refuses_the_run(
    command: Command, store: Path, request_file: Path, options: list[str], told: str
) -> None:
    assert command("run", request_file, "--json", *options, status=2) == ""
    assert told in command.err
    assert command.json("runs") == []


def test_the_builder_of_the_environment(
    command: Command, store: Path, request_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TVIXBUILD_NB_BUILDER", "dummy:")
    assert "dummy" in command.json("run", request_file, status=1)["message"]


def test_a_request_may_come_through_a_pipe(store: Path, request_file: Path) -> None:
    process = start_command("run", "-", "--json", "--builder", "dummy:", stdin=subprocess.PIPE)
    out, err = process.communicate(request_file.read_bytes(), timeout=60)
    assert process.returncode == 1 and json.loads(out)["failed_at"] == "setup" and b"Traceback" not in err
