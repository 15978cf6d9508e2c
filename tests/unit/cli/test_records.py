"""record show, play, export, and the other commands over record files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.records import fails, ran
from tvixbuild_nb import Run
from tvixbuild_nb.build.visits import Visit
from tvixbuild_nb.cli import main


@pytest.fixture
def record(tmp_path: Path) -> str:
    run = ran(fails, env={"TOKEN": "hunter2-hunter2"}, secrets=["TOKEN"])
    run.record.note_visit(Visit(command=("ls", "/"), exit_code=3, output="bin\n"))
    run.save(tmp_path / "x.tvixrun", inputs=True)
    return str(tmp_path / "x.tvixrun")


def test_show(record: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", "show", record]) == 0
    said = capsys.readouterr().out
    for text in ("failed at output", "recorded 20", "contents of inputs: 1 file (7 B)", "the values of TOKEN"):
        assert text in said
    assert main(["record", "show", record, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["record"]["format"] == 1 and shown["run"]["recorded"]["when"] > 0


def test_play_and_log_are_the_log(record: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["record", "play", record, "--speed", "100", "--max-pause", "0.1"], ["log", record]):
        assert main(command) == 0
    assert capsys.readouterr().out == "sh: frobnicate: not found\n" * 2


def test_other_commands_take_a_record(record: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", record]) == 0
    assert main(["exec", record, "--", "ls", "/"]) == 3
    assert "bin\n" in (out := capsys.readouterr()).out and "recorded 20" in out.err
    assert main(["exec", record, "--", "reboot"]) == 1
    assert "ls /" in capsys.readouterr().err
    assert main(["diff", record, record]) == 0
    assert main(["shell", record]) == 1
    assert "record" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["record", "show"], ["record", "play"], ["log"]])
def test_what_is_no_record_is_refused(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "no.tvixrun"
    path.write_bytes(b"nonsense" * 10)
    assert main([*command, str(path)]) == 2
    assert "no record of a run" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "none.tvixrun")]) == 1


def test_export_tells_the_size_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ran()
    assert main(["record", "export", run.id, str(tmp_path / "y.tvixrun")]) == 0
    said = capsys.readouterr().out
    assert said.index("before compression: the run") < said.index("y.tvixrun") and "without contents" in said
    assert Run.load(tmp_path / "y.tvixrun").ok
    for wrong in (["record", "export"], ["record", "export", run.id], ["record", "export", run.id, "y.zip"]):
        assert main(wrong) == 2


def test_export_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [ran(), ran(), ran(command="false")]
    assert main(["record", "export", "--all", str(tmp_path / "all"), "--json"]) == 0
    saved = json.loads(capsys.readouterr().out)
    digests = [str(run.request.digest) for run in runs]
    assert [(each["request"], each["run"]) for each in saved] == [
        (digest, run.id) for digest, run in zip(digests, runs, strict=True)
    ]
    names = [Path(each["path"]).name for each in saved]
    assert names == [f"{digests[0][:12]}-1.tvixrun", f"{digests[0][:12]}-2.tvixrun", f"{digests[2][:12]}-1.tvixrun"]
    assert main(["record", "export", "--all", str(tmp_path / "all"), runs[0].id]) == 2


def test_gc_takes_away_what_was_unpacked(record: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", "show", record]) == 0
    assert main(["gc", "--dry-run"]) == 0 and main(["gc"]) == 0
    assert capsys.readouterr().out.count("what was unpacked of 1 record") == 2
    assert main(["gc"]) == 0
    assert "unpacked" not in capsys.readouterr().out
