"""Shells in the sandbox of a run that is over: command after command, tools of the host, phases of stdenv."""

from __future__ import annotations

import gc
import json
import os
import signal
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from support.cli import start_command
from support.entered import SETUP, bundles_at, sandbox_at, until
from support.leftovers import Leftovers
from support.users import AsUser
from tvixbuild_nb import Sandbox
from tvixbuild_nb.errors import HostRefused, InvalidValue, SetupFailed
from tvixbuild_nb.oci import Limits, SpecOptions
from tvixbuild_nb.sandbox import Run

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _warm(no_leftovers: Leftovers) -> None:
    """What is entered has a view that stays for the next one."""
    no_leftovers.warm = True


FAILS = "mkdir work; echo kept > work/half; cat /nix/store/src; exit 3"


def failed(place: Path, command: str = FAILS, **fields: object) -> Run:
    sandbox = sandbox_at(place, command, **fields)
    sandbox.add_input("src", b"input\n")
    run = sandbox.run(show=False)
    assert run.status == "failed" and run.bundle is not None, run
    return Run.open(run.id)


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_what_one_command_sets_the_next_one_finds(passable_tmp: Path, runtime: str) -> None:
    run = failed(passable_tmp, runtime=runtime, env={"TOKEN": "hunter2-hunter2"}, secrets=["TOKEN"])
    with run.shell() as shell:
        parts = {row.where.partition("[")[0] for row in shell.differences}
        assert parts == ({"process.args"} if runtime == "runc" else {"process.args", "mounts"})
        assert shell("cd work; here=$PWD; greet() { echo hello $1; }").ok
        assert (
            shell("echo $here; cat half; greet you; cat /nix/store/src").output
            == "/build/work\nkept\nhello you\ninput\n"
        )
        assert shell("(exit 6)").exit_code == 6 and shell("echo $?").output == "6\n"
        # No line end at the end, nothing at all, both streams in their order, what looks like markers.
        assert shell("printf x; printf y >&2").output == "xy" and shell(":").output == ""
        assert shell("printf '\\ntvixbuild-'").output == "\ntvixbuild-"
        assert len(shell("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done").output.splitlines()) == 20000
        assert shell("cat").output == ""
        # Mistakes do not end it.
        assert shell("if then").exit_code == 2 and shell("echo 'open").exit_code == 2
        assert (
            shell("exec > /build/out; echo gone").output == "" and shell("exec >&2; cat /build/out").output == "gone\n"
        )
        late = shell("echo begun; sleep 60", timeout=0.5)
        assert (late.output, late.verdict, late.exit_code) == ("begun\n", "ended after 0.5 s", None)
        assert shell("trap '' INT; sleep 60", timeout=0.5).verdict == "ended after 0.5 s"
        assert shell("echo $here").output == "/build/work\n"
        said = shell("echo $TOKEN")
        assert said.output == "hunter2-hunter2\n" and "hunter2" not in str(said) and "hunter2" not in str(shell)
        assert shell("touch made").ok
        with pytest.raises(HostRefused, match="somebody is in"):
            run.exec("true")
        with pytest.raises(InvalidValue):
            shell(["ls"])  # type: ignore[arg-type]
    assert not shell.alive and "closed" in repr(shell)
    with pytest.raises(InvalidValue, match="is closed"):
        shell("ls")
    assert run.exec("ls work").output == "half\nmade\n"
    with run.shell(fresh=True) as shell:
        assert shell("ls").output == ""
        assert shell("exit 9").verdict == "the shell has ended with status 9" and not shell.alive
    until(lambda: bundles_at(passable_tmp) == {f"kept-{run.id}"}, "only the kept bundle is left")
    run.delete()


@pytest.mark.usefixtures("root")
def test_one_that_is_forgotten_goes_away(passable_tmp: Path) -> None:
    run = failed(passable_tmp)
    shell = run.shell()
    assert shell("echo kept > work/more").ok
    del shell
    gc.collect()
    assert run.exec("cat work/more").output == "kept\n"
    run.delete()


@pytest.mark.usefixtures("root")
def test_the_stop_button_ends_the_command_and_not_the_shell(passable_tmp: Path) -> None:
    run = failed(passable_tmp)
    with run.shell() as shell:
        assert shell("x=still").ok
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
        started = time.monotonic()
        assert shell("sleep 60").verdict == "interrupted"
        assert time.monotonic() - started < 20
        assert shell("echo $x").output == "still\n"
    run.delete()


@pytest.mark.usefixtures("root")
def test_programs_of_the_host_are_added(passable_tmp: Path) -> None:
    run = failed(passable_tmp)
    assert not run.exec("strace -V").ok
    with run.shell(tools=["strace", "ldd"]) as shell:
        rows = {row.where for row in shell.differences if not row.where.startswith("process.args")}
        assert rows == {"mounts[/nix/store/tvixbuild-nb-tools]"}
        traced = shell("strace -f -e trace=execve,openat /bin/sh -c 'read x < work/half' 2>&1")
        assert "work/half" in traced.output and traced.ok, str(traced)
        # A script for a shell comes with its shell.
        assert shell("ldd --version").ok and shell("bash --version").output.startswith("GNU bash")
    assert run.exec(["strace", "-V"], tools=["strace"]).ok
    # What is not asked for again is not there again.
    assert not run.exec("strace -V").ok
    for tools, text in ((["nope-nope"], "is not a program"), (["pydoc3"], "is a script for")):
        with pytest.raises(HostRefused, match=text) as refused:
            run.shell(tools=tools)
        assert (refused.value.path, refused.value.index) == ("tools", 0)
    with pytest.raises(InvalidValue, match="a list of programs"):
        run.shell(tools="strace")
    run.delete()


@pytest.mark.usefixtures("root")
def test_a_sandbox_without_any_shell(passable_tmp: Path) -> None:
    sandbox = sandbox_at(passable_tmp, "", outputs=[], inputs_dir="")
    sandbox.command, sandbox.provide_bin_sh = ["/usr/bin/false"], False
    sandbox.add_host_program("/usr/bin/false")
    run = sandbox.run(show=False)
    with pytest.raises(InvalidValue, match="no shell was found") as refused:
        run.shell()
    assert "tools" in (refused.value.hint or "")
    assert run.exec(["/usr/bin/false"]).exit_code == 1
    with run.shell(tools=["stat"]) as shell:
        assert shell("stat -c %u /build; ls /tvixbuild-nb-tools").output == "1000\nbin\nexec\nlib\n"
    run.delete()


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("command", [["/usr/bin/make"], ["make", "all"], ["/nix/store/src"]])
def test_a_run_whose_program_could_not_be_started_is_entered(passable_tmp: Path, command: list[str]) -> None:
    sandbox = sandbox_at(passable_tmp, "")
    sandbox.command = command
    sandbox.add_input("src", b"no program\n")
    run = sandbox.run(show=False)
    assert run.failed_at == "exec"
    assert run.exec("pwd; cat /nix/store/src; touch half").output == "/build\nno program\n"
    with run.shell() as shell:
        assert shell("ls").output == "half\n"
    assert run.exec("ls", fresh=True).output == ""
    run.delete()


@pytest.mark.usefixtures("root")
def test_what_a_build_left_leads_nowhere_else(passable_tmp: Path) -> None:
    """Links in place of directories that hold what has to be handed over: nothing of the host changes hands."""
    victim = passable_tmp / "victim"
    victim.mkdir()
    (victim / "extra").write_text("of the host")
    run = failed(
        passable_tmp, f"rm -r d; ln -s {victim} d; rm gone; exit 3",
        additional_files={"build/d/extra": "mine", "build/gone": "mine"},
    )  # fmt: skip
    assert run.exec("ls -a; readlink d").output.split()[-1] == str(victim)
    assert (victim / "extra").stat().st_uid == 0 and (victim / "extra").read_text() == "of the host"
    run.delete()
    # The working directory itself cannot be made where a link stands.
    run = failed(passable_tmp, f"cd /; rmdir build/w; ln -s {victim} build/w; exit 3", working_dir="build/w")
    with pytest.raises(SetupFailed, match="bundle cannot be made"):
        run.exec("true")
    assert stat.S_ISDIR(victim.lstat().st_mode) and {each.name for each in victim.iterdir()} == {"extra"}
    run.delete()


@pytest.mark.usefixtures("root")
def test_options_that_config_json_does_not_tell_stay(passable_tmp: Path) -> None:
    run = failed(passable_tmp, "exit 3", options=SpecOptions.for_host(etc_files=False))
    assert run.exec("ls /etc").output == ""
    assert run.exec("ls /etc", fresh=True).output == ""
    run.delete()


@pytest.mark.usefixtures("root")
def test_another_sandbox_is_not_taken_for_the_same(passable_tmp: Path) -> None:
    limits = Limits(memory=300 << 20, pids=60, cpu=0.29)
    run = failed(passable_tmp, options=SpecOptions.for_host(hostname="own", limits=limits, capabilities=["KILL"]))
    assert run.exec("hostname").output == "own\n"
    config = json.loads((run.record.path / "config.json").read_text())
    (run.record.path / "config.json").write_text(json.dumps({**config, "ociVersion": "1.0.0"}))
    with pytest.raises(HostRefused, match="cannot be made again here: ociVersion would differ"):
        Run.open(run.id).exec("true")
    assert bundles_at(passable_tmp) == {f"kept-{run.id}"}
    run.delete()


def stdenv(place: Path, **env: str) -> Sandbox:
    sandbox = sandbox_at(place, "", inputs_dir="", env={"stdenv": "/stdenv", "PATH": "/usr/bin", **env})
    sandbox.command = ["/usr/bin/bash", "-e", "-c", "source $stdenv/setup; genericBuild"]
    for program in ("bash", "mkdir", "cat", "ls"):
        sandbox.add_host_program(program)
    setup = place / "stdenv"
    setup.mkdir(exist_ok=True)
    (setup / "setup").write_text(SETUP)
    sandbox.add_input("stdenv", setup)
    return sandbox


@pytest.mark.usefixtures("root")
def test_phases_are_run_up_to_the_one_that_failed(passable_tmp: Path) -> None:
    run = stdenv(passable_tmp, buildPhase="echo trying; false").run(show=False)
    assert run.status == "failed" and "running buildPhase" in run.log.text()
    with run.shell(phase="buildPhase") as shell:
        assert shell.greeting is not None and shell.greeting.ok, str(shell.greeting)
        lines = shell.greeting.output.splitlines()
        assert lines[:3] == ["running unpackPhase", "running configurePhase", "running buildPhase"]
        assert lines[-1] == "stopped before buildPhase; go on with: runPhase buildPhase" and len(lines) == 4
        assert shell("pwd; cat config; ls").output == "/build/source\nconfigured\nconfig\nx.c\n"
        assert shell('echo "$SOURCED ${flags[1]} ${table[key]} $greeting"').output == "yes two words value two\nlines\n"
        # As it was before: the variable that stands for the phase, and a shell that survives what fails.
        assert shell("echo $buildPhase").output == "echo trying; false\n"
        again = shell("runPhase buildPhase")
        assert again.output == "running buildPhase\ntrying\n" and again.exit_code == 1
        assert shell("buildPhase; cat binary").output == "built\n"
        assert shell("declare -F | grep -c tvixbuild").output == "" or not shell("declare -F").output.count(
            "__tvixbuild"
        )
    # Of the run that failed nothing was touched.
    assert run.exec(["/usr/bin/ls", "/build/source"]).output == "config\nx.c\n"
    for more, text in (({"phase": "no phase"}, "no name"), ({"phase": "x", "fresh": False}, "from the start")):
        with pytest.raises(InvalidValue, match=text):
            run.shell(**more)  # type: ignore[arg-type]
    run.delete()


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    ("env", "phase", "said"),
    [
        ({"configurePhase": "exit 7"}, "buildPhase", "configurePhase ended with status 7; this is the state it left"),
        # These fail since there is no output, only.
        ({"buildPhase": ":"}, "checkPhase", "there is no checkPhase here, or it is skipped; everything else was run"),
        ({"dontBuild": "1"}, "buildPhase", "there is no buildPhase here, or it is skipped; everything else was run"),
        ({"buildCommand": "false"}, "buildPhase", "the build is one buildCommand without phases; setup is sourced"),
    ],
)  # fmt: skip
def test_where_phases_end_otherwise_it_is_said(passable_tmp: Path, env: dict[str, str], phase: str, said: str) -> None:
    run = stdenv(passable_tmp, **{"buildPhase": "false", "installPhase": ":", **env}).run(show=False)
    with run.shell(phase=phase) as shell:
        assert shell.greeting is not None and shell.greeting.output.splitlines()[-1] == said
        assert shell("echo $SOURCED").output == "yes\n"
    run.delete()


@pytest.mark.usefixtures("root")
def test_phases_need_a_stdenv(passable_tmp: Path) -> None:
    run = failed(passable_tmp)
    with pytest.raises(InvalidValue, match="no stdenv"):
        run.shell(phase="buildPhase")
    run.delete()


@pytest.mark.usefixtures("root")
def test_the_command_reads_its_commands_where_there_is_no_terminal(passable_tmp: Path) -> None:
    run = stdenv(passable_tmp, buildPhase="false").run(show=False)
    words = ("shell", "--phase", "buildPhase", "--tool", "stat", run.id)
    with start_command(*words, stdin=subprocess.PIPE) as process:
        out, err = process.communicate(b"pwd\nstat -c %s x.c\nexit 5\n", timeout=60)
    assert (process.returncode, out) == (5, b"/build/source\n7\n"), err.decode()
    assert (
        b"differs from the run: arguments, mounts[/tvixbuild-nb-tools]" in err and b"stopped before buildPhase" in err
    )
    with start_command("shell", run.id, stdin=subprocess.PIPE) as process:
        out, err = process.communicate(b"cat config\n", timeout=60)
    assert (process.returncode, out) == (1, b"") and b"No such file" in err
    run.delete()


def test_an_ordinary_user_has_shells_and_tools_too(as_user: AsUser) -> None:
    done = as_user(
        """
        from tvixbuild_nb import Sandbox
        for inputs in ("fuse", "checkout"):
            sandbox = Sandbox("mkdir d; echo kept > d/f; chmod 600 d/f; exit 3", outputs=["nix/store/out"])
            sandbox.add_input("src", b"input")
            run = sandbox.run(show=False, inputs=inputs)
            with run.shell(tools=["stat"]) as shell:
                assert shell("cat d/f; stat -c %u:%a d/f; cat /nix/store/src").output == "kept\\n1000:600\\ninput"
                assert shell("echo more >> d/f").ok
            assert run.exec("cat d/f").output == "kept\\nmore\\n"
            run.delete()
        """.replace("\n        ", "\n")
    )
    assert done.returncode == 0, done.stderr[-3000:]
