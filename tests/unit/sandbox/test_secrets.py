"""sb.secrets: refused when wrong, recorded by name, hidden wherever a run or a sandbox is displayed."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Mapping

import pytest

from tvixbuild_nb import Run, Sandbox, open_castore
from tvixbuild_nb.build import DummyBuild, DummyBuildService
from tvixbuild_nb.castore import Node
from tvixbuild_nb.cli import main
from tvixbuild_nb.errors import BuildFailed, InvalidRequest
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.sandbox.printer import HEAD

SECRET = "hunter2-hunter2"


def _leaks(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
    value = bytes(request.environment_vars["TOKEN"])
    build.print(b"token=" + value[:5])
    build.print(value[5:] + b"\n")
    build.print(value[:3] + b"\x00" + value[3:] + b"\n", "stderr")
    return {}


def _floods(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
    value = bytes(request.environment_vars["TOKEN"])
    build.print(b"x" * (HEAD - 7) + value + b"y" * 100_000 + b"\n")
    build.print(b"z" * 16_370 + value + b"\n")
    return {}


def _sandbox(script: object = _leaks, **fields: object) -> Sandbox:
    castore = open_castore("memory:")
    builder = DummyBuildService(castore, script)
    fields = {"env": {"TOKEN": SECRET, "A": "1"}, "secrets": ["TOKEN"], "outputs": ["nix/store/x"], **fields}
    return Sandbox(["echo", SECRET], store=castore, builder=builder, **fields)


def test_the_printed_log_hides_it_also_where_chunks_cut_it(capsys: pytest.CaptureFixture[str]) -> None:
    _sandbox().run()
    printed = capsys.readouterr().err
    assert "token=[secret TOKEN]\n" in printed and printed.count("[secret TOKEN]") == 2
    assert "hunter" not in printed


def test_no_part_of_it_is_left_where_a_long_log_is_cut() -> None:
    run, output = _sandbox(_floods).start().wait(), io.StringIO()
    run.follow(output)
    assert "bytes not shown here" in output.getvalue()
    assert "hun" not in output.getvalue() and "ter2" not in output.getvalue()


def test_a_run_opened_by_its_id_hides_it_too() -> None:
    run = Run.open(_sandbox().run(show=False).id)
    assert str(run.log) == run.redactor.text(run.log.text())
    assert SECRET in run.log.text() and SECRET not in str(run.log)
    line = run.log.tail()[0]
    assert SECRET in line.text and SECRET not in f"{line} {line!r} {run.log.tail()}"
    with pytest.raises(BuildFailed) as failed:
        run.raise_for_status()
    assert SECRET not in str(failed.value) and "token=[secret TOKEN]" in str(failed.value)
    assert SECRET not in f"{run} {run!r}"


def test_the_sandbox_shows_its_variables_without_it() -> None:
    sandbox = _sandbox()
    assert repr(sandbox.env) == "{'TOKEN': '[secret TOKEN]', 'A': '1'}"
    assert sandbox.env["TOKEN"] == SECRET and SECRET not in repr(sandbox)
    sandbox.env = {"TOKEN": SECRET, "B": "2"}
    assert SECRET not in repr(sandbox.env) and SECRET not in repr(copy.deepcopy(sandbox.env))
    sandbox.secrets = ()
    assert SECRET in repr(sandbox.env)
    assert SECRET not in sandbox.from_request(sandbox.request, secrets=["TOKEN"]).redactor.text(sandbox.config_json())


@pytest.mark.parametrize(
    ("fields", "index", "words"),
    [({"secrets": ["A1", "TOKEN"]}, 0, "no variable"), ({"secrets": ["TOKEN", "A"]}, 1, "shorter than 4")],
)
def test_a_wrong_name_is_refused_in_words(fields: dict[str, object], index: int, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        _sandbox(**fields).start()
    assert (refused.value.path, refused.value.index) == ("secrets", index)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_command_line_hides_it_on_a_terminal() -> None:
    run = _sandbox().run(show=False)
    with contextlib.redirect_stdout(Terminal()) as terminal:
        assert main(["log", run.id]) == 0
    assert terminal.getvalue() == "token=[secret TOKEN]\n[secret TOKEN]\n"
