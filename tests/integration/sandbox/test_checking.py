"""sb.check() and sb.minimize() with the real runtime: what a build depends on is found, and proved."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from support.cli import Command
from support.users import AsUser
from tvixbuild_nb import Sandbox, runs
from tvixbuild_nb.build import OCIBuildService
from tvixbuild_nb.build.inmemory import check_room
from tvixbuild_nb.castore import Castore, Directory, DirectoryNode, SymlinkNode, open_castore
from tvixbuild_nb.errors import BuildFailed, HostRefused, InvalidValue
from tvixbuild_nb.oci import SpecOptions
from tvixbuild_nb.sandbox import Run

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]


@pytest.fixture
def make(passable_tmp: Path) -> Any:
    """Makes sandboxes over one store and builder."""
    store = open_castore(f"file:{passable_tmp / 'store'}")
    builder = OCIBuildService(passable_tmp / "bundles", store)

    def sandbox(script: str, **fields: Any) -> Sandbox:
        fields = {"outputs": ["nix/store/out"], "env": {"PATH": "/bin"}, "store": store, "builder": builder} | fields
        return Sandbox(script, **fields)

    return sandbox


def _directory(store: Castore, *names: bytes) -> DirectoryNode:
    directory = Directory({name: store.ingest_bytes(name) for name in names})
    return DirectoryNode(store.directories.put(directory), directory.size)


def test_the_same_outputs_each_time(make: Any, passable_tmp: Path) -> None:
    checked = make("echo same > /nix/store/out").check()
    assert checked and len(checked.runs) == 3 and "are the same" in str(checked)
    assert checked._repr_mimebundle_()["text/plain"] == str(checked)
    assert [each for each in (passable_tmp / "bundles").iterdir() if each.is_dir()] == []


def test_what_a_build_depends_on_is_told_and_where_it_began(make: Any) -> None:
    script = "mkdir /build/sub; hostname > /build/sub/config.h; "
    script += "(cat /build/sub/config.h; cd /nix/store/src; find . -type f) > $out"
    sandbox = make(script, env={"PATH": "/bin", "out": "/nix/store/out"})
    sandbox.inputs["src"] = _directory(sandbox.store, b"a", b"b", b"c")
    checked = sandbox.check(n=2)
    by_name = {cause.variation.name: cause for cause in checked.causes}
    assert set(by_name) == {"hostname", "order"}, str(checked)
    origin = by_name["hostname"].origin
    assert origin.path == "/build/sub/config.h" and not origin.output and origin.others == 1
    assert by_name["hostname"].looks_like == "the hostname"
    assert by_name["order"].origin.path == "/nix/store/out" and by_name["order"].origin.output
    assert by_name["order"].looks_like == "the same lines in another order"
    text = str(checked)
    assert "an intermediate file" in text and "+otherhost" in text and "-localhost" in text
    # Only what is asked for is varied.
    checked = sandbox.check(n=2, vary=["timezone", "cores"])
    assert checked and "not varied: the processors as /proc/cpuinfo" in str(checked)
    assert not any(text.startswith("listing") for text in checked.not_varied)


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_processors_are_really_fewer(make: Any, passable_tmp: Path, runtime: str) -> None:
    sandbox = make("nproc > /nix/store/out", builder=f"oci:{passable_tmp / runtime}", runtime=runtime)
    checked = sandbox.check(n=2, vary=["cores"])
    if len(os.sched_getaffinity(0)) == 1:
        assert checked and "not varied: processors: there are no more than 1 here" in checked.not_varied
        return
    [cause] = checked.causes
    assert cause.variation.name == "cores" and cause.steady, str(checked)
    assert Run.open(cause.run).outputs["nix/store/out"].read_text() == "1\n"


def test_the_order_in_scratch_directories_is_another_one_in_memory(make: Any, passable_tmp: Path) -> None:
    script = "cd /build; for each in z y x w v u t s r q p o n m; do echo > $each; done; find . > list; cat list > $out"
    sandbox = make(script, env={"PATH": "/bin", "out": "/nix/store/out"})
    checked = sandbox.check(n=2, vary=["order"])
    try:
        check_room(passable_tmp, 16 << 20)
    except HostRefused as refused:
        assert checked and f"listing: scratch directories stay on their file system: {refused.message}" in str(checked)
        return
    [cause] = checked.causes
    assert cause.origin.path == "/build/list" and cause.looks_like == "the same lines in another order", str(checked)
    assert checked.not_varied == ()
    # What a limit on memory would count is not put there.
    sandbox.options = SpecOptions.for_host(limits={"memory": 64 << 20})
    checked = sandbox.check(n=2, vary=["order"])
    assert checked and "not varied: listing" in str(checked) and "limited" in str(checked)
    place = Path("/dev/shm", f"tvixbuild-nb-{os.geteuid()}")
    assert not [path.name for path in place.iterdir() for run in checked.runs if run in path.name]
    # What a dead process left there goes with the next one's first build in memory.
    (place / "00ff00ff00ff.lock").touch()
    (place / "00ff00ff00ff.kept-x").mkdir()
    sandbox = make(script, env={"PATH": "/bin", "out": "/nix/store/out"}, builder=f"oci:{passable_tmp / 'other'}")
    sandbox.check(n=2, vary=["order"])
    assert not list(place.glob("00ff00ff00ff.*"))


def test_an_ordinary_user_checks_too(as_user: AsUser) -> None:
    done = as_user(
        """
        from tvixbuild_nb import Sandbox, runs
        names = "z y x w v u t s r q p o n m l k"
        script = f"nproc > $out; cd /build; for each in {names}; do echo > $each; done; find . >> $out"
        print(Sandbox(script, outputs=["nix/store/out"], env={"PATH": "/bin", "out": "/nix/store/out"}).check(n=2))
        """.replace("\n        ", "\n")
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "order: " in done.stdout or "not varied: listing" in done.stdout
    assert "cores: " in done.stdout or "not varied: processors" in done.stdout


def test_a_build_that_differs_by_itself(make: Any) -> None:
    checked = make("cat /proc/sys/kernel/random/uuid > /nix/store/out").check(n=2)
    [cause] = checked.causes
    assert cause.variation is None and "by itself" in str(checked) and "not be deterministic" in str(checked)
    assert not make("cat /proc/sys/kernel/random/uuid > /nix/store/out").check(n=2, vary=[])


def test_time_is_never_taken_for_what_was_varied(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "diffoscope"
    program.write_text("#!/bin/sh\necho It is told by; cat before after; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    checked = make("date +%s > /nix/store/out").check(n=2)
    [cause] = checked.causes
    assert cause.variation is None and cause.looks_like is not None and "a time" in cause.looks_like, str(checked)
    assert "It is told by" in str(checked) and "from byte" not in str(checked.causes[0].diffoscope)
    assert checked.to_dict()["causes"][0]["diffoscope"]["nix/store/out"][0] == "It is told by"
    # It takes apart what it prints, so where values are secret it is not asked.
    sandbox = make("date +%s > /nix/store/out", env={"PATH": "/bin", "TOKEN": "secret-value"}, secrets=["TOKEN"])
    assert not sandbox.check(n=2, vary=[]).causes[0].diffoscope


def test_a_run_that_fails_only_elsewhere_and_what_is_refused(make: Any) -> None:
    checked = make('[ "$(hostname)" = localhost ] && echo > /nix/store/out').check(n=2, vary=["hostname"])
    [cause] = checked.causes
    assert cause.variation.name == "hostname" and "did not succeed" in str(checked)
    with pytest.raises(BuildFailed):
        make("exit 3").check(n=2)
    with pytest.raises(InvalidValue, match="no variation"):
        make("true").check(vary=["host-name"])
    with pytest.raises(InvalidValue, match="2 runs or more"):
        make("true").check(n=1)


def test_inputs_that_can_go_are_proposed_and_proved(make: Any) -> None:
    sandbox = make("cat /nix/store/used/a > /nix/store/out; ls /nix/store | grep -c named >> /nix/store/out")
    for name in ("used", "unused", "named", "other"):
        sandbox.inputs[name] = _directory(sandbox.store, b"a")
    minimized = sandbox.minimize()
    assert set(minimized.removable) == {"unused", "other"} and minimized.needed == ("named",)
    assert set(sandbox.inputs) == {"used", "unused", "named", "other"}
    assert "2 of 4 inputs can go (4 entries, 1 B)" in str(minimized) and minimized.proof is not None
    minimized.apply()
    assert set(sandbox.inputs) == {"used", "named"}
    again = sandbox.minimize()
    assert not again and again.proof is None and "none of the 2 inputs can go: 1 were looked at" in str(again)
    with pytest.raises(InvalidValue, match="changed since"):
        minimized.apply()


@pytest.mark.parametrize(
    ("script", "removable", "needed"),
    [
        ("ls /nix/store/dir > $out", {"file", "link"}, set()),
        ("[ -e /nix/store/dir/a ] && echo > $out", {"file", "link"}, set()),
        # The kernel answers for what is mounted: nothing is seen of it, and a run without it fails.
        ("[ -d /nix/store/dir ] && [ -f /nix/store/file ] && echo > $out", {"link"}, {"dir", "file"}),
        ("cat /nix/store/link/a > $out", {"file"}, {"link"}),
        ("readlink /nix/store/link > $out", {"dir", "file"}, {"link"}),
        ("ls /nix/store > $out", set(), {"dir", "file", "link"}),
        ("find /nix/store/dir /nix/store/link/a > /dev/null; cat /nix/store/file > $out", {"link"}, set()),
    ],
)
def test_what_is_only_listed_or_asked_for_and_links(
    make: Any, script: str, removable: set[str], needed: set[str]
) -> None:
    sandbox = make(script, env={"PATH": "/bin", "out": "/nix/store/out"})
    sandbox.inputs["dir"] = _directory(sandbox.store, b"a")
    sandbox.inputs["file"] = sandbox.store.ingest_bytes(b"file")
    sandbox.inputs["link"] = SymlinkNode(b"dir")
    minimized = sandbox.minimize()
    assert (set(minimized.removable), set(minimized.needed)) == (removable, needed), str(minimized)
    assert ("needed, a symlink: link" in str(minimized)) == ("link" in needed)
    # The proof is a recorded run, whose outputs are those of the run with all inputs.
    if removable:
        runs = [Run.open(id) for id in (minimized.base, minimized.proof)]
        assert runs[0].outputs["nix/store/out"].node == runs[1].outputs["nix/store/out"].node
        assert set(runs[1].request.inputs) == {"dir", "file", "link"} - removable


def test_without_a_trace_or_inputs_it_says_so(make: Any) -> None:
    assert "there are no inputs" in str(make("echo > /nix/store/out").minimize())
    sandbox = make("echo > /nix/store/out")
    sandbox.inputs["a"] = sandbox.store.ingest_bytes(b"a")
    sandbox.builder.note_fuse_refused("no FUSE, for a test")
    with pytest.raises(HostRefused, match="not recorded"):
        sandbox.minimize()
    # Nor are its directories listed in another order then, which the check says.
    assert "not varied: listing: a checkout is listed as its file system does" in str(sandbox.check(2, ["order"]))


def test_what_is_random_proves_nothing(make: Any) -> None:
    sandbox = make("cat /proc/sys/kernel/random/uuid > /nix/store/out")
    sandbox.inputs["unused"] = sandbox.store.ingest_bytes(b"x")
    sandbox.inputs["link"] = SymlinkNode(b"unused")
    minimized = sandbox.minimize()
    assert not minimized and not minimized.deterministic and "nothing can be proved" in str(minimized)


def test_the_commands(make: Any, passable_tmp: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    command = Command(capfdbinary)
    sandbox = make("hostname > /nix/store/out")
    sandbox.inputs["unused"] = sandbox.store.ingest_bytes(b"x")
    sandbox.save(passable_tmp / "request.json")
    where = ("--store", passable_tmp / "store", "--builder", f"oci:{passable_tmp / 'bundles'}")
    told = command.json("check", passable_tmp / "request.json", *where, "-n", "2", "--vary", "hostname", status=1)
    assert [cause["variation"] for cause in told["causes"]] == ["hostname"] and not told["same"]
    assert "are the same" in command("check", passable_tmp / "request.json", *where, "-n", "2", "--vary", "cores")
    small = passable_tmp / "small.json"
    assert "1 of 1 inputs can go" in command("minimize", passable_tmp / "request.json", *where, "-o", small)
    assert dict(Sandbox.load(small).inputs) == {}


def test_ctrl_c_leaves_nothing(make: Any, passable_tmp: Path) -> None:
    sandbox = make("echo ready; [ -e /nix/store/in ] && sleep 60; :", outputs=[])
    sandbox.inputs["in"] = sandbox.store.ingest_bytes(b"x")
    sandbox.save(passable_tmp / "request.json")
    command = [
        sys.executable, "-m", "tvixbuild_nb", "check", passable_tmp / "request.json", "--store", passable_tmp / "store",
        "--builder", f"oci:{passable_tmp / 'other'}",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while not any(run.log.text() for run in runs()):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode != 0
    assert [run.status for run in runs()] == ["cancelled"]
    # The keeper takes warm views away once its owner is gone.
    while (left := list((passable_tmp / "other").iterdir())) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


def test_no_secret_is_told(make: Any) -> None:
    script = "mkdir $out; ln -s $TOKEN-$(hostname) $out/link; hostname > /build/$TOKEN; touch -d @0 /build/$TOKEN"
    env = {"PATH": "/bin", "out": "/nix/store/out", "TOKEN": "secret-value"}
    checked = make(script, env=env, secrets=["TOKEN"]).check(n=2, vary=["hostname"])
    assert not checked and "link" in str(checked) and "secret-value" not in str(checked)
    assert "secret-value" not in str(checked.to_dict())
