"""What a recorded run answers: what was asked, in the order in which it was, and nothing else."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from support.records import ran
from tvixbuild_nb import Run, Sandbox, open_castore
from tvixbuild_nb.build.visits import MOST, Visit
from tvixbuild_nb.errors import NotRecorded
from tvixbuild_nb.oci import Diff
from tvixbuild_nb.sandbox.answers import Asked, note
from tvixbuild_nb.sandbox.executing import Executed


def _loaded(run: Run, directory: Path) -> Run:
    run.save(directory / "x.tvixrun")
    return Run.load(directory / "x.tvixrun")


def _done(run: Run, output: str, code: int = 0, left_out: int = 0) -> Executed:
    return Executed(("x",), run, code, None, None, output, left_out, Diff("run", ()))


def test_the_same_question_gets_its_answers_in_order_and_then_the_last(tmp_path: Path) -> None:
    run = ran()
    for output in ("one\n", "two\n"):
        note(Asked("exec", "date"), _done(run, output), 0.5)
    note(Asked("exec", "date", fresh=True), _done(run, "fresh\n"), 0.5)
    loaded = _loaded(run, tmp_path)
    assert [loaded.exec("date").output for _ in range(3)] == ["one\n", "two\n", "two\n"]
    assert loaded.exec(["/bin/sh", "-c", "date"], fresh=True).output == "fresh\n"
    shown = io.StringIO()
    loaded.exec("date", output=shown)
    assert shown.getvalue() == "two\n"
    for other in ("dat", "date "):
        with pytest.raises(NotRecorded, match="not then") as refused:
            loaded.exec(other)
        assert "executed were: date\n    date (fresh)" in str(refused.value)
    with pytest.raises(NotRecorded):
        loaded.exec("date", tools=["strace"])


def test_answers_are_kept_without_secrets_and_bounded(tmp_path: Path) -> None:
    run = ran(env={"TOKEN": "hunter2-hunter2"}, secrets=["TOKEN"])
    note(Asked("exec", ("echo", "hunter2-hunter2")), _done(run, "hunter2-hunter2\n" + "x" * MOST, 3, 5), 0.1)
    note(Asked("exec", "echo \udcff"), _done(run, "\udcff\n"), 0.1)
    assert b"hunter2" not in (run.record.path / "visits.jsonl").read_bytes()
    loaded = _loaded(run, tmp_path)
    # A record does not know the value; a run that replays it does.
    done = loaded.exec(["echo", "[secret TOKEN]"])
    assert done.output.startswith("[secret TOKEN]\nx") and len(done.output) == MOST and done.exit_code == 3
    assert done.left_out == 5 + len("[secret TOKEN]\n")
    assert loaded.exec("echo \udcff").output == "\\udcff\n"


def test_a_run_that_replays_knows_the_value(tmp_path: Path) -> None:
    run = ran(env={"TOKEN": "hunter2-hunter2"}, secrets=["TOKEN"])
    note(Asked("exec", "echo hunter2-hunter2"), _done(run, "hunter2-hunter2\n"), 0.1)
    run.save(tmp_path / "x.tvixrun", outputs=True)
    again = Sandbox.from_request(
        run.request, secrets=["TOKEN"], store=open_castore("memory:"), builder=f"replay:{tmp_path}"
    ).run(show=False)
    assert again.exec("echo hunter2-hunter2").output == "[secret TOKEN]\n"


def test_a_line_that_was_cut_short_is_left_out(tmp_path: Path) -> None:
    run = ran()
    note(Asked("exec", "one"), _done(run, "1"), 0.1)
    with (run.record.path / "visits.jsonl").open("ab") as file:
        file.write(b'{"command": "tw')
    assert len(run.record.read_visits()) == 1 and _loaded(run, tmp_path).exec("one").output == "1"


def test_a_recorded_shell_answers_what_it_was_told(tmp_path: Path) -> None:
    run = ran()
    with pytest.raises(NotRecorded, match="no shell was opened"):
        _loaded(run, tmp_path).shell()
    for command, output, phase, greeting in (
        ("genericBuild", "configuring\n", "buildPhase", True),
        ("make", "made\n", "buildPhase", False),
        ("pwd", "/build\n", None, False),
    ):
        run.record.note_visit(
            Visit(
                asked="shell",
                command=command,
                output=output,
                exit_code=0,
                phase=phase,
                fresh=phase is not None,
                greeting=greeting,
            )  # fmt: skip
        )
    loaded = _loaded(run, tmp_path)
    with loaded.shell() as shell:
        assert shell("pwd").output == "/build\n" and shell.greeting is None and shell.alive
    assert not shell.alive and "closed" in repr(shell)
    with loaded.shell(phase="buildPhase") as shell:
        assert shell.greeting is not None and shell.greeting.output == "configuring\n"
        assert shell("make").output == "made\n" and "make" in str(shell) and "genericBuild" not in str(shell)
        with pytest.raises(NotRecorded, match="told to a shell were: make"):
            shell("pwd")
