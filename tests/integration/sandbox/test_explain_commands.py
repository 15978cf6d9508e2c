"""run.explain(): what a command has wrong itself: variables that are not set, CR LF, files it does not find, hangs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tvixbuild_nb import Run, Sandbox
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.debug import Explanation

pytestmark = pytest.mark.integration
OUT = "nix/store/out"
# The programs of this host, which has them in packages that every Debian has.
HOST = tuple(path for path in ("/usr", "/lib", "/lib64", "/bin") if os.path.exists(path))


def _sandbox(command: object, **fields: Any) -> Sandbox:
    return Sandbox(command, store=open_castore("memory:"), **{"outputs": [OUT], **fields})  # type: ignore[arg-type]


def _ran(sandbox: Sandbox, **how: Any) -> tuple[Run, Explanation]:
    run = sandbox.run(show=False, check=False, **how)
    return run, run.explain()


def _mended(sandbox: Sandbox, cure: str) -> None:
    exec(cure, {"sb": sandbox})
    run, found = _ran(sandbox)
    assert run.ok, f"{cure}\n{run}\n{found}"
    run.delete()


@pytest.mark.parametrize(
    ("command", "cause"),
    [
        ("mkdir -p ${out}; echo x > $out/c", "the variable out is not set, so that $out/c is /c"),
        ("echo x > $out", "the variable out is not set, so that nothing is left of the name"),
        ('echo x > "$out"', "the variable out is not set, so that nothing is left of the name"),
        ("mkdir $out", "the variable out is not set, so that nothing is left of the name"),
        ("set -u; echo x > $out", "the variable out is not set: a build has only the environment it is given"),
        ("set -e\nmkdir -p $out/bin/x", "so that $out/bin/x is /bin/x"),
        ('touch "$out/c" || { mkdir "$out" && touch "$out"/c; }', "the variable out is not set"),
        ("mkdir -p $TMPDIR/a && touch $TMPDIR/a/x /nix/store/out", "so that $TMPDIR/a is /a"),
        ("cat $data > /nix/store/out; cat $data/x", "the variable data is not set, so that $data/x is /x"),
    ],
    ids=["path", "redirection", "quoted", "usage", "refused", "below-bin", "touch", "temporary", "read"],
)
def test_a_variable_that_is_not_set(command: str, cause: str) -> None:
    sandbox = _sandbox(command)
    run, found = _ran(sandbox)
    (first,) = found
    assert cause in first.cause and first.confidence == "certain", str(found)
    assert any("the command says: " in one.text for one in first.evidence) and first.lines, str(found)
    run.delete()
    if "data" not in cause:
        if command.startswith("mkdir -p ${out}"):
            command = command.removeprefix("mkdir -p ${out}; ")
        _mended(sandbox, first.cure)


def test_an_output_that_is_not_there_for_a_variable_that_is_empty() -> None:
    sandbox = _sandbox("cd $out; echo x > ./out; [ -z $out ] || mv out x", env={"out": ""})
    run, found = _ran(sandbox)
    (first,) = found
    assert first.cause.endswith("did not write /nix/store/out: the variable out is not set"), str(found)
    assert first.cure.startswith('sb.env["out"] = "/nix/store/out"')
    run.delete()


@pytest.mark.parametrize(
    "command",
    [
        "out=/nix/store/x; echo > $out/x/y",
        "for out in /nix/x; do echo > $out; done",
        ". ./nothing; echo > $out/c",
        "echo > ${out:-/etc}/c",
        "echo '$out/c'; echo > /c",
        "echo \\$out/c; cat /c",
    ],
)
def test_variables_that_are_not_to_blame(command: str) -> None:
    run, found = _ran(_sandbox(command, outputs=[]))
    # What is quoted is not told apart from what is not, but for a backslash.
    assert not run.ok and ("'" in command or "is not set" not in str(found)), str(found)
    run.delete()


@pytest.mark.parametrize(
    "command",
    [
        "echo x > /nix/store/out\r\n",
        "set -e\r\necho x > /nix/store/out\r\n",
        "if true\r\nthen\r\n  echo x > /nix/store/out\r\nfi\r\n",
        "cd /build\r\necho x > /nix/store/out\r\n",
        "mkdir src\r\ncd src\r\necho x > /nix/store/out\r\nexit 0\r\n",
    ],
    ids=["name", "option", "syntax", "directory", "status"],
)
def test_a_command_with_the_line_ends_of_windows(command: str) -> None:
    sandbox = _sandbox(command)
    run, found = _ran(sandbox)
    assert "CR LF" in found.findings[0].cause and found.findings[0].confidence == "certain", str(found)
    assert len(found) == 1 and "\r" not in str(found), str(found)
    run.delete()
    _mended(sandbox, found.findings[0].cure)


def test_scripts_with_the_line_ends_of_windows(tmp_path: Path) -> None:
    script = "#!/bin/sh\r\necho x > /nix/store/out\r\n"
    added = _sandbox(["/bin/sh", "/opt/run"], additional_files={"opt/run": script})
    run, found = _ran(added)
    assert "/nix/store/out\\r was written" in str(found) and "of /opt/run" in str(found), str(found)
    run.delete()
    _mended(added, found.findings[0].cure)
    (tmp_path / "run").write_bytes(script.encode())
    run, found = _ran(_sandbox(["/bin/sh", "/nix/store/src/run"], inputs={"src": tmp_path}))
    assert r"sed -i 's/\r$//'" in found.findings[0].cure and "/nix/store/src/run" in found.findings[0].cure
    run.delete()


@pytest.mark.parametrize(
    ("command", "cause", "told", "cure"),
    [
        ("cat nofile", "/build/nofile is not inside", "/build is empty", "give it as an input"),
        ("cat < nofile", "/build/nofile is not inside", "/build is empty", "give it as an input"),
        ("sh a.sh", "/build/a.sh is not inside", "/nix/store/src/a.sh is there", "/nix/store/src/a.sh instead of"),
        (
            "cat /nix/store/src/b.sh",
            "/nix/store/src/b.sh is not inside",
            "/nix/store/src/a.sh is there",
            "a.sh instead",
        ),
        ("echo > sub/x", "/build/sub/x is not inside: already /build/sub", "/build is empty", "mkdir -p /build/sub"),
        ("echo > /nix/a/b", "/nix/a/b is not inside: already /nix/a", "holds store", "write below /build"),
    ],
    ids=["open", "redirected", "elsewhere", "near", "directory", "read-only"],
)
def test_files_that_busybox_does_not_find(tmp_path: Path, command: str, cause: str, told: str, cure: str) -> None:
    (tmp_path / "a.sh").write_text("echo\n")
    run, found = _ran(_sandbox(command, inputs={"src": tmp_path}))
    (first,) = found
    assert cause in first.cause and first.confidence == "likely" and cure in first.cure, str(found)
    assert any(told in one.text for one in first.evidence), str(found)
    run.delete()


@pytest.mark.parametrize(
    ("command", "told", "advice"),
    [
        ("mkfifo f; cat f", "a FIFO nobody has opened", "start the other one first"),
        ("mkfifo f; exec 3<>f; cat <&3", "reads from /build/f", "give it a file"),
        ("flock l sleep 30 & sleep 0.1; flock l true", "a lock on a file", "do not start it twice"),
        ("while :; do :; done", "runs", "going round in circles"),
    ],
    ids=["fifo", "pipe", "lock", "busy"],
)
def test_who_waits_is_told_before_more_time_is_given(command: str, told: str, advice: str) -> None:
    for how in ({"timeout": 0.5}, {"silent_timeout": 0.5}):
        sandbox = _sandbox(command, env={"PATH": "/bin:/usr/bin"}, available_ro_paths=HOST, provide_bin_sh=False)
        run, found = _ran(sandbox, **how)
        (first,) = found
        assert any(one.kind == "process" and told in one.text for one in first.evidence), str(found)
        before, _, last = first.cure.rpartition("\n")
        assert advice in before and last.startswith(f"run = sb.run({next(iter(how))}="), str(found)
        assert first.cure.startswith("print(run.processes())")
        run.delete()


@pytest.mark.parametrize(
    "command",
    [
        "echo x > $out/c || echo x > /nix/store/out",
        "cat nofile; echo x > /nix/store/out",
        "echo x > $out; echo x > /nix/store/out",
        "echo x\r\necho x > /nix/store/out",
        "echo > a/b; echo x > /nix/store/out",
    ],
)
def test_a_run_that_is_well_has_no_finding(command: str) -> None:
    run, found = _ran(_sandbox(command))
    assert run.ok and not found and not found.wrong and str(found) == "nothing is wrong", str(found)
    run.delete()
