"""Into a run that goes on: its processes, commands and shells inside, from this process and from others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from support.cli import Command, start_command
from support.entered import bundles_at, sandbox_at, says, until
from support.leftovers import Leftovers
from support.users import AsUser
from tvixbuild_nb.errors import HostRefused, InvalidValue, TvixBuildError
from tvixbuild_nb.sandbox import Run

pytestmark = pytest.mark.integration

# Goes on until somebody makes a file.
WAITS = "echo begun; while [ ! -e /build/go ]; do sleep 0.1; done; cat /build/go > /nix/store/out"


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_commands_go_into_it_and_what_they_do_is_seen(
    passable_tmp: Path, no_leftovers: Leftovers, runtime: str
) -> None:
    no_leftovers.watch(passable_tmp)
    run = sandbox_at(passable_tmp, WAITS, runtime, env={"TOKEN": "hunter2-hunter2"}, secrets=["TOKEN"]).start()
    says(run, "begun")
    tree = run.processes()
    assert tree is not None
    first = tree.processes[0]
    assert (first.pid, first.parent, first.command[0]) == (1, 0, "/bin/sh")
    # Which moment of its loop it is in is a matter of luck.
    assert "waits for its child" in first.doing or first.doing == "runs"

    done = run.exec("id -u; id -g; pwd; hostname; echo $TOKEN; cat /proc/1/comm")
    assert done.output.split() == ["1000", "100", "/build", "localhost", "hunter2-hunter2", "sh"]
    assert "hunter2" not in str(done)
    assert {row.where.partition("[")[0] for row in done.differences} == {"process.args"}
    for field, more in (("fresh", {"fresh": True}), ("tools", {"tools": ["stat"]})):
        with pytest.raises(InvalidValue, match="still goes on") as refused:
            run.exec("true", **more)
        assert refused.value.path == field

    with run.shell() as shell:
        assert shell("cd /build; here=$PWD").ok
        assert shell("echo $here; ls").output == "/build\n"
        # Two are inside at once, and a third.
        assert run.exec("ls /build").ok
        tree = run.processes()
        assert tree is not None and sum(each.parent == 0 for each in tree) == 2
        assert shell("echo made inside > /build/go").ok
    assert run.wait().ok
    assert run.outputs["nix/store/out"].read_text() == "made inside\n"
    assert not (run.record.path / "door").exists()
    until(lambda: not bundles_at(passable_tmp), "no bundle is left")


@pytest.mark.usefixtures("root")
@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_a_program_that_is_not_inside_is_told_of_once(
    passable_tmp: Path, no_leftovers: Leftovers, runtime: str
) -> None:
    no_leftovers.watch(passable_tmp)
    run = sandbox_at(passable_tmp, WAITS, runtime).start()
    says(run, "begun")
    for program in ("nonesuch", "/bin/nonesuch"):
        with start_command("exec", run.id, "--", program) as other:
            out, err = other.communicate(timeout=30)
        told = [line for line in err.splitlines() if b"nonesuch" in line]
        assert (other.returncode, out, len(told)) == (1, b"", 1), err
    run.exec("echo > /build/go")
    assert run.wait().ok


def test_from_another_process_and_until_its_end(
    passable_tmp: Path, no_leftovers: Leftovers, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    run = sandbox_at(passable_tmp, WAITS).start()
    says(run, "begun")
    with start_command("exec", run.id, "--", "/bin/sh", "-c", "cat; exit 4", stdin=subprocess.PIPE) as other:
        out, err = other.communicate(b"through the command line\n", timeout=30)
    assert (other.returncode, out) == (4, b"through the command line\n"), err
    with start_command("processes", run.id, "--json") as other:
        rows = json.loads(other.communicate(timeout=30)[0])
    assert rows["when"] == "now" and rows["processes"][0]["pid"] == 1

    # Opened by id it is entered just the same; a visitor who is killed takes along what it started.
    with start_command("exec", run.id, "--", "/bin/sh", "-c", "echo in; sleep 1234") as other:
        assert other.stdout is not None and other.stdout.readline() == b"in\n"
        other.kill()
    again = Run.open(run.id)
    until(lambda: "1234" not in str(again.processes()), "the visitor's command is gone")

    # Who is inside when it ends is told so.
    shell = again.shell()
    run.exec("echo done > /build/go")
    run.wait()
    assert run.ok
    assert shell("echo still here").verdict in ("the shell was ended by signal 9", "the shell was ended")
    with pytest.raises(InvalidValue, match="this shell was ended"):
        shell("and now?")
    with pytest.raises(InvalidValue, match="its bundle was not kept"):
        again.exec("true")
    Command(capfdbinary)("processes", run.id, status=2)


@pytest.mark.usefixtures("root")
def test_silence_ends_it_and_who_waited_for_what_is_recorded(
    passable_tmp: Path, no_leftovers: Leftovers, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    sandbox = sandbox_at(passable_tmp, "mkfifo p; echo begun; exec 9<>p; cat p > /dev/null; echo over")
    started = time.monotonic()
    run = sandbox.run(show=False, silent_timeout=1, timeout=60)
    assert run.status == "timed-out" and time.monotonic() - started < 30
    assert run.message == "it wrote nothing for 1 s"
    tree = Run.open(run.id).processes()
    assert tree is not None and "when time was up" in str(tree)
    doing = {each.command[0]: each.doing for each in tree}
    assert doing["cat"] == "reads from /build/p"
    assert tree.processes[0].doing.startswith("waits for its child") and "(cat)" in tree.processes[0].doing
    finding = run.explain().first
    assert finding is not None and finding.cause == "it said nothing for too long, and the run was ended"
    assert "silent_timeout=" in finding.cure and "log line" in str(finding)
    assert any("cat p: " in one.text for one in finding.evidence if one.kind == "process"), str(finding)
    shown = Command(capfdbinary)("processes", run.id)
    assert "when time was up" in shown and "cat p" in shown

    # Whoever says something from time to time may go on.
    busy = sandbox_at(passable_tmp, "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.25; done; touch /nix/store/out")
    assert busy.run(show=False, silent_timeout=1).ok
    with pytest.raises(InvalidValue, match="more than 0"):
        busy.run(silent_timeout=0)
    run.delete()


@pytest.mark.usefixtures("root")
def test_without_namespaces_of_the_keepers_own_it_is_the_same(passable_tmp: Path, no_leftovers: Leftovers) -> None:
    no_leftovers.warm = True
    run = sandbox_at(passable_tmp, f"{WAITS}; exit 3", namespaces=False).start()
    says(run, "begun")
    tree = run.processes()
    assert tree is not None and tree.processes[0].pid == 1
    with run.shell() as shell:
        assert shell("id -u; echo on > /build/go").output == "1000\n"
    assert run.wait().exit_code == 3
    assert run.exec("cat go").output == "on\n"
    run.delete()


@pytest.mark.usefixtures("root")
def test_who_is_inside_need_not_hurry(passable_tmp: Path, no_leftovers: Leftovers) -> None:
    run = sandbox_at(passable_tmp, WAITS).start(silent_timeout=1)
    says(run, "begun")
    with run.shell() as shell:
        assert shell("sleep 1.5; echo done > /build/go").ok
    assert run.wait().ok


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("victim", ["tvixbuild-guest", "tvixbuild-build"])
def test_killed_helpers_leave_nobody_behind(passable_tmp: Path, no_leftovers: Leftovers, victim: str) -> None:
    no_leftovers.watch(passable_tmp)
    run = sandbox_at(passable_tmp, WAITS).start()
    says(run, "begun")
    shell = run.shell()
    assert shell("sleep 4321 & echo $!").ok
    for pid in _called(victim):
        os.kill(pid, signal.SIGKILL)
    if victim == "tvixbuild-guest":
        until(lambda: len(run.processes() or ()) < 4, "the shell is gone")
        assert run.exec("echo on > /build/go").ok
        assert run.wait().ok
    else:
        run.wait()
        assert (run.status, run.failed_at) == ("failed", "setup")
    assert shell("echo here?").verdict == "the shell was taken away with its sandbox"
    with pytest.raises(InvalidValue, match="this shell was taken away"):
        shell("again")
    # The keeper itself lives, or there is another one.
    assert sandbox_at(passable_tmp, "touch /nix/store/out").run(show=False).ok


def _called(name: str) -> list[int]:
    """The processes below this one that are called ``name``."""
    found = []
    for pid in os.listdir("/proc"):
        try:
            comm = Path(f"/proc/{pid}/comm").read_text().strip()
        except (OSError, ValueError):
            continue
        if comm == name and _descends(int(pid)):
            found.append(int(pid))
    return found


def _descends(pid: int) -> bool:
    while pid > 1:
        if pid == os.getpid():
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False


@pytest.mark.usefixtures("root")
def test_cancelled_with_somebody_inside_it_ends_at_once(passable_tmp: Path, no_leftovers: Leftovers) -> None:
    run = sandbox_at(passable_tmp, WAITS).start()
    says(run, "begun")
    ended: list[str] = []
    inside = threading.Thread(target=lambda: ended.append(run.exec("echo in; exec sleep 77").verdict))
    inside.start()
    # The runtime's own process has the command among its arguments before anybody is inside.
    until(lambda: any(each.command == ("sleep", "77") for each in run.processes() or ()), "somebody is inside")
    started = time.monotonic()
    run.cancel()
    run.wait()
    inside.join()
    assert run.status == "cancelled" and time.monotonic() - started < 10
    assert ended in (["ended with its sandbox"], ["ended by signal 9"], ["ended by signal 15"])


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("pause", [0.02, 0.04, 0.06])
def test_cancelled_while_somebody_is_let_in(passable_tmp: Path, no_leftovers: Leftovers, pause: float) -> None:
    run = sandbox_at(passable_tmp, WAITS).start()
    says(run, "begun")
    ended: list[str] = []

    def visit() -> None:
        try:
            ended.append(run.exec("exec sleep 77").verdict)
        except TvixBuildError:
            ended.append("came too late")

    inside = threading.Thread(target=visit)
    inside.start()
    time.sleep(pause)
    run.cancel()
    run.wait()
    inside.join()
    assert run.status == "cancelled"
    assert ended[0] in ("ended with its sandbox", "ended by signal 9", "ended by signal 15", "came too late")


def test_before_it_begins_and_where_there_is_no_sandbox_it_is_said(tmp_path: Path) -> None:
    from tvixbuild_nb import Sandbox
    from tvixbuild_nb.build import DummyBuildService
    from tvixbuild_nb.castore import open_castore

    run = Sandbox("true", builder=DummyBuildService(open_castore("memory:"))).run(show=False)
    with pytest.raises(InvalidValue, match="never had a configuration"):
        run.exec("true")
    assert run.processes() is None


def test_an_ordinary_user_enters_what_goes_on(as_user: AsUser) -> None:
    done = as_user(
        """
        import time
        from tvixbuild_nb import Sandbox
        run = Sandbox("echo begun; while [ ! -e go ]; do sleep 0.1; done; touch /nix/store/out",
                      outputs=["nix/store/out"]).start()
        while "begun" not in run.log.text():
            time.sleep(0.02)
        tree = run.processes()
        assert tree.processes[0].pid == 1 and tree.processes[0].command[0] == "/bin/sh", tree
        executed = run.exec("id -u; echo x > /dev/stdout")
        assert executed.output == "1000\\nx\\n", str(executed)
        with run.shell() as shell:
            assert shell("cd /build").ok and shell("pwd").output == "/build\\n"
            assert shell("touch go").ok
        assert run.wait().ok, run
        """.replace("\n        ", "\n")
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.usefixtures("root")
def test_nobody_else_comes_in(passable_tmp: Path, as_user: AsUser) -> None:
    run = sandbox_at(passable_tmp, WAITS).start()
    says(run, "begun")
    try:
        # Even with the record's directory open: who connects is asked who they are.
        door = run.record.path / "door"
        for directory in (run.record.path, *run.record.path.parents):
            if not directory.stat().st_mode & 0o001 and directory.stat().st_uid == 0 and directory != Path("/root"):
                directory.chmod(0o755)
        door.chmod(0o777)
        done = as_user(
            f"""
            from tvixbuild_nb.keeper.visiting import look
            try:
                print("looked", look({str(run.record.path)!r}))
            except Exception as error:
                print(type(error).__name__)
            """.replace("\n            ", "\n")
        )
        assert done.stdout.strip() in ("KeeperError", "HostRefused"), done.stdout + done.stderr
        assert run.exec("echo in > /build/go").ok
    finally:
        run.cancel()
        run.wait()
    with pytest.raises((HostRefused, InvalidValue)):
        run.exec("true")
