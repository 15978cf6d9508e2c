"""%sandbox and %%sandbox in an IPython shell, over a build service that builds nothing."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from tvixbuild_nb import Run, Sandbox, open_castore
from tvixbuild_nb.build import DummyBuild, DummyBuildService
from tvixbuild_nb.castore import Node
from tvixbuild_nb.request import BuildRequest


def echo(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
    """Prints its script, variables and network; its outputs hold a directory with a file."""
    build.print(f"{request.command_args[-1].strip()} by {request.command_args[0]}\n")
    build.print(f"{dict(request.environment_vars)} {request.constraints and request.constraints.network_access}\n")
    if "fail" in request.command_args[-1]:
        return {}
    return {path: build.castore.ingest(Path(__file__).parent) for path in request.outputs}


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "tvixbuild_nb")
    castore = open_castore("memory:")
    shell.push(
        {"sb": Sandbox("true", outputs=["nix/store/out"], store=castore, builder=DummyBuildService(castore, echo))}
    )
    yield shell
    InteractiveShell.clear_instance()


def line(shell: InteractiveShell, text: str) -> Any:
    return shell.run_line_magic("sandbox", text)


def cell(shell: InteractiveShell, words: str, body: str) -> None:
    shell.run_cell_magic("sandbox", words, body)


def completions(shell: InteractiveShell, text: str) -> set[str]:
    with provisionalcompleter():
        found = list(shell.Completer.completions(text, len(text)))
    return {text[: one.start] + one.text for one in found}


def test_a_cell_is_a_script_in_the_only_sandbox(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    cell(shell, "", "echo hello\n")
    assert "echo hello by /bin/sh" in capsys.readouterr().out
    run = shell.user_ns["_run"]
    assert isinstance(run, Run) and run.ok and shell.user_ns["sb"].last_run is run
    assert shell.user_ns["sb"].command == ("/bin/sh", "-c", "echo hello\n"), "and can be looked at, and run again"


def test_options_of_a_cell_are_for_this_run(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    cell(shell, "sb --to mine --shell /bin/ash --env A=b --env 'C=d e' --network --timeout 5 --keep never", "x")
    out = capsys.readouterr().out
    assert "x by /bin/ash" in out and "'A': b'b'" in out and "'C': b'd e'" in out and "True" in out
    sandbox = shell.user_ns["sb"]
    assert sandbox.env == {} and not sandbox.network_access
    assert shell.user_ns["mine"] is shell.user_ns["_run"]


def test_a_cell_that_fails_says_why(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    cell(shell, "", "fail")
    out = capsys.readouterr().out
    assert "failed at output" in out and not shell.user_ns["_run"].ok


def test_verbs_show_values(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    assert line(shell, "") is shell.user_ns["sb"]
    assert "/proc" in str(line(shell, "mounts"))
    assert line(shell, "config") == shell.user_ns["sb"].spec
    assert "config.json" in str(line(shell, "preview"))
    assert line(shell, "env A=1 B=2") is None
    line(shell, "env")
    assert "A=1\nB=2\n" in capsys.readouterr().out
    run = line(shell, "run --to first")
    assert isinstance(run, Run) and shell.user_ns["first"] is run and line(shell, "log") is run.log
    assert not line(shell, "explain")
    line(shell, "ls")
    assert capsys.readouterr().out.endswith("nix/store/out\n")
    assert line(shell, "ls nix/store/out").is_dir()
    line(shell, f"cat /nix/store/out/{Path(__file__).name}")
    assert "%sandbox and %%sandbox in an IPython shell" in capsys.readouterr().out
    cell(shell, "", "another")
    assert "command_args" in str(line(shell, "diff"))
    line(shell, "help")
    assert "%sandbox explain" in capsys.readouterr().out


def test_a_new_one_takes_paths_and_variables(shell: InteractiveShell, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from a file")
    shell.user_ns["text"] = b"from a variable"
    made = line(shell, f"new --input a={tmp_path / 'file'} --input b=text --output nix/store/x --env K=V")
    assert made is shell.user_ns["sandbox"] and set(made.inputs) == {"a", "b"}
    assert made.outputs == ("nix/store/x",) and made.env == {"K": "V"}
    assert made.inputs["b"].size == len(b"from a variable")
    line(shell, "input c=text")
    assert set(made.inputs) == {"a", "b", "c"} and line(shell, "") is made
    assert line(shell, "use sb") is shell.user_ns["sb"] and line(shell, "") is shell.user_ns["sb"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("prevew", "did you mean 'preview'"),
        ("use sbb", "did you mean 'sb'"),
        ("use", "usage: %sandbox use NAME"),
        ("new --input nothing", "is not NAME=VALUE"),
        ("new --inptu a=b", "usage: %sandbox new"),
        ("new 1st", "cannot be a variable's name"),
        ("input a=/no/such/file", "/no/such/file"),
        ("log", "has not run yet"),
        ("ls nix", "has not run yet"),
        ("diff", "two runs"),
        ("mounts now", "nothing was expected"),
        ("run --timeout soon", "number of seconds"),
        ("exec", "usage: %sandbox exec COMMAND"),
        ("help explian", "did you mean 'explain'"),
        ("env 'A=b", "no closing quotation"),
    ],
)
def test_slips_are_messages(shell: InteractiveShell, words: str, said: str) -> None:
    with pytest.raises(UsageError, match="(?s)" + said):
        line(shell, words)


@pytest.mark.parametrize(("words", "body", "said"), [
    ("nope", "x", "not defined"), ("", " \n", "no script"), ("--to 1x", "x", "variable's name"),
    ("--keep sometimes", "x", "usage: %%sandbox"), ("--env A", "x", "NAME=VALUE"),
])  # fmt: skip
def test_slips_of_a_cell(shell: InteractiveShell, words: str, body: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        cell(shell, words, body)
    assert "_run" not in shell.user_ns and shell.user_ns["sb"].last_run is None


def test_without_a_choice_it_asks(shell: InteractiveShell) -> None:
    shell.user_ns["other"] = Sandbox("true")
    with pytest.raises(UsageError, match=r"which sandbox\? %sandbox use other|sb"):
        line(shell, "mounts")
    del shell.user_ns["other"], shell.user_ns["sb"]
    with pytest.raises(UsageError, match="no sandbox yet: %sandbox new"):
        line(shell, "mounts")


def test_a_slip_has_no_traceback(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    done = shell.run_cell("%sandbox prevew")
    assert isinstance(done.error_in_exec, UsageError)
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err and "did you mean" in captured.err


def test_completion(shell: InteractiveShell) -> None:
    assert completions(shell, "%sandbox pre") == {"%sandbox preview"}
    assert {"%sandbox use", "%sandbox help"} <= completions(shell, "%sandbox ")
    assert completions(shell, "%sandbox use s") == {"%sandbox use sb"}
    assert completions(shell, "%sandbox new --in") == {"%sandbox new --input"}
    assert completions(shell, "%sandbox ls ni") == set(), "nothing has run yet"
    shell.user_ns["sb"].add_input("given", b"1")
    assert completions(shell, "%sandbox input gi") == {"%sandbox input given="}
    line(shell, "run")
    assert completions(shell, "%sandbox ls nix/st") == {"%sandbox ls nix/store/given", "%sandbox ls nix/store/out/"}
    name = Path(__file__).name
    assert completions(shell, f"%sandbox cat nix/store/out/{name[:8]}") == {f"%sandbox cat nix/store/out/{name}"}
    assert completions(shell, "%%sandbox --sh") == {"%%sandbox --shell"}
    assert "%%sandbox sb" in completions(shell, "%%sandbox ")
    assert completions(shell, "%%sandbox --keep al") == {"%%sandbox --keep always"}
    assert "sb.preview" in completions(shell, "sb.previ"), "and Python as before"


def test_unloading_takes_all_away(shell: InteractiveShell) -> None:
    before = len(shell.Completer.custom_matchers)
    shell.run_line_magic("unload_ext", "tvixbuild_nb")
    assert "sandbox" not in shell.magics_manager.magics["line"] | shell.magics_manager.magics["cell"]
    assert len(shell.Completer.custom_matchers) == before - 1
    assert "%sandbox preview" not in completions(shell, "%sandbox pre")
    shell.run_line_magic("load_ext", "tvixbuild_nb.lab")
    shell.run_line_magic("reload_ext", "tvixbuild_nb.lab")
    assert len(shell.Completer.custom_matchers) == before and line(shell, "") is shell.user_ns["sb"]
    gc.collect()
