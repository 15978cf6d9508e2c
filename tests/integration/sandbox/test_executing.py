"""run.exec(): commands in the very sandbox of a run, one after the other in what it left; nothing else is touched."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from support.cli import Command
from support.users import AsUser
from tvixbuild_nb import Sandbox
from tvixbuild_nb.build import OCIBuildService
from tvixbuild_nb.build.locks import is_taken
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.errors import HostRefused, InvalidValue
from tvixbuild_nb.oci import Limits, SpecOptions
from tvixbuild_nb.sandbox import Run

pytestmark = pytest.mark.integration


def _sandbox(place: Path) -> Sandbox:
    store = open_castore(f"file:{place / 'store'}")
    sandbox = Sandbox(
        "echo kept > /build/half; ln -s half /build/link; chmod 600 /build/half; cat /nix/store/src; exit 3",
        outputs=["nix/store/out"],
        env={"PATH": "/bin", "TOKEN": "hunter2-hunter2"},
        secrets=["TOKEN"],
        additional_files={"build/extra": "extra\n"},
        options=SpecOptions.for_host().replace(hostname="own", limits=Limits(pids=50)),
        store=store,
        builder=OCIBuildService(place / "bundles", store),
    )
    sandbox.add_input("src", b"input\n")
    return sandbox


def _bundles(place: Path) -> set[str]:
    return {each.name for each in (place / "bundles").iterdir() if each.is_dir() and each.suffix != ".views"}


@pytest.mark.usefixtures("root")
def test_commands_are_executed_in_what_the_failure_left(
    passable_tmp: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    failed = _sandbox(passable_tmp).run(show=False)
    assert failed.exit_code == 3 and failed.bundle is not None
    log = failed.log.text()
    run = Run.open(failed.id)
    first = run.exec("id -u; hostname; cat half link extra /nix/store/src; stat -c %a:%u half; pwd; echo $TOKEN > new")
    assert first.ok and first.output.split() == [
        *("1000", "own", "kept", "kept", "extra", "input", "600:1000", "/build"),
    ], str(first)
    assert {row.where.partition("[")[0] for row in first.differences} == {"process.args"}
    nothing = run.exec(["/bin/nope"])
    assert (nothing.exit_code, nothing.output) == (None, "") and "/bin/nope" in nothing.verdict
    # What one command changes the next one finds; the run itself is as it was.
    second = run.exec(["/bin/sh", "-c", "cat new; rm half; exit 4"])
    assert (second.exit_code, second.output) == (4, "hunter2-hunter2\n")
    assert "hunter2" not in str(second) and "status 4" in str(second)
    assert run.exec("ls").output.split() == ["extra", "link", "new"]
    assert run.log.text() == log and Run.open(failed.id).exit_code == 3
    assert run.exec("ls", fresh=True).output.split() == ["extra"]
    until = time.monotonic() + 10
    while (left := _bundles(passable_tmp)) != {f"kept-{run.id}"} and time.monotonic() < until:
        time.sleep(0.05)  # the keeper removes what is not kept when the run is over already
    assert left == {f"kept-{run.id}"}

    command = Command(capfdbinary)
    assert command("exec", run.id, "--", "/bin/sh", "-c", "ls /build") == "extra\nlink\nnew\n"
    command("exec", "--fresh", run.id, "--", "/bin/sh", "-c", "exit 9", status=9)
    late = run.exec("echo begun; sleep 60", timeout=0.3)
    assert not late.ok and late.output == "begun\n" and late.verdict == "ended after 0.3 s"
    assert run.exec("kill -9 $$").verdict == "ended by signal 9"
    # What it leaves behind does not keep it.
    assert run.exec("sleep 60 & echo done").output == "done\n"
    assert not any((run.record.path / "entered").iterdir())

    assert run.bundle is not None
    lock = run.bundle.with_name(f"{run.bundle.name}.lock")
    going = threading.Thread(target=lambda: run.exec("sleep 3"))
    going.start()
    until = time.monotonic() + 10
    while not is_taken(lock) and time.monotonic() < until:
        time.sleep(0.01)
    with pytest.raises(HostRefused, match="somebody is in"):
        run.exec("true")
    going.join()
    assert not lock.exists()


@pytest.mark.usefixtures("root")
def test_where_there_is_nothing_to_go_on_with_it_is_said(passable_tmp: Path) -> None:
    run = _sandbox(passable_tmp).run(show=False, keep="never")
    with pytest.raises(InvalidValue, match="not kept"):
        run.exec("true")
    assert run.exec("cat /build/extra", fresh=True).output == "extra\n"
    run.delete()


def test_an_ordinary_user_may_too(as_user: AsUser) -> None:
    done = as_user(
        """
        from tvixbuild_nb import Sandbox
        run = Sandbox("mkdir d; echo kept > d/f; chmod 600 d/f; exit 3").run(show=False)
        executed = run.exec("cat d/f; echo more >> d/f; stat -c %u d/f")
        assert executed.output == "kept\\n1000\\n", str(executed)
        assert run.exec("cat d/f").output == "kept\\nmore\\n"
        """.replace("\n        ", "\n")
    )
    assert done.returncode == 0, done.stderr[-3000:]
