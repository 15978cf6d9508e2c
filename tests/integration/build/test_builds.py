"""Builds with the real runc and the real FUSE: what succeeds, what fails, and whose fault it says it was."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.leftovers import Leftovers
from tvixbuild_nb import BuildRequest, Run, Sandbox, SpecOptions, open_castore
from tvixbuild_nb.build import EndEvent, LogEvent, OCIBuildService, StageEvent
from tvixbuild_nb.castore import DirectoryNode, FileNode, SymlinkNode
from tvixbuild_nb.errors import HostRefused, NotFound
from tvixbuild_nb.oci import Limits

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]

RUNTIMES = ["runc", "crun"]


@pytest.fixture
def service(passable_tmp: Path, tmp_path: Path, no_leftovers: Leftovers) -> OCIBuildService:
    no_leftovers.warm = True
    return OCIBuildService(passable_tmp / "bundles", open_castore(tmp_path / "store"))


def _sandbox(service: OCIBuildService, command: str | list[str], **fields: object) -> Sandbox:
    return Sandbox(command, store=service.castore, builder=service, **fields)


def _run(service: OCIBuildService, command: str | list[str], /, outputs: tuple[str, ...] = (), **policy: object) -> Run:
    return _sandbox(service, command, outputs=outputs).run(show=False, **policy)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("inputs", ["fuse", "checkout"])
def test_from_inputs_to_ingested_outputs(
    passable_tmp: Path, tmp_path: Path, no_leftovers: Leftovers, runtime: str, inputs: str
) -> None:
    service = OCIBuildService(passable_tmp / "bundles", open_castore(tmp_path / "store"), runtime=runtime)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "run").write_text("#!/bin/sh\necho from the input\n")
    (tmp_path / "src" / "run").chmod(0o755)
    sandbox = _sandbox(
        service,
        "/nix/store/src/run; cat build.txt $EXTRA; mkdir $out; cp /nix/store/src/run $out/; ln -s run $out/link;"
        "echo /nix/store/src > /nix/store/refs",
        outputs=["nix/store/refs", "nix/store/tree"],
        env={"out": "/nix/store/tree", "EXTRA": "/etc/extra"},
        refscan_needles=["nothing", "/nix/store/src"],
        additional_files={"build/build.txt": "below a scratch path\n", "etc/extra": "below the root\n"},
    )
    sandbox.add_input("src", tmp_path / "src")
    run = sandbox.run(show=False, inputs=inputs)
    assert run.ok, (run, run.log.text())
    assert run.log.text() == "from the input\nbelow a scratch path\nbelow the root\n"
    tree = run.outputs["nix/store/tree"]
    assert sorted(child.name for child in tree.iterdir()) == ["link", "run"]
    assert isinstance((tree / "link").node, SymlinkNode) and (tree / "run").executable
    assert isinstance(tree.node, DirectoryNode) and isinstance(run.outputs["nix/store/refs"].node, FileNode)
    assert run.needles == {"nix/store/refs": ("/nix/store/src",), "nix/store/tree": ()}
    assert run.result is not None and run.result.inputs == inputs and run.degraded == ()
    assert run.bundle is None
    assert set(run.timings) == {"request", "render", "queue", "bundle", "mount", "run", "ingest", "clean"}


@pytest.mark.parametrize(
    ("command", "outputs", "failed_at", "exit_code"),
    [
        ("exit 3", (), "build", 3),
        ("true", ("nix/store/x",), "output", 0),
        ("mkfifo /nix/store/x", ("nix/store/x",), "output", 0),
        (["/no/such/program"], (), "exec", None),
        (["no-such-program"], (), "exec", None),
    ],
)
def test_a_failure_says_whose_fault_it_was(
    service: OCIBuildService, command: str | list[str], outputs: tuple[str, ...], failed_at: str, exit_code: int | None
) -> None:
    run = _run(service, command, outputs)
    assert (run.status, run.failed_at, run.exit_code) == ("failed", failed_at, exit_code)
    assert run.message and run.bundle is not None and (run.bundle / "config.json").exists()
    run.delete()
    assert run.bundle is None


def test_a_program_without_its_loader_fails_at_exec_though_the_file_is_there(service: OCIBuildService) -> None:
    sandbox = _sandbox(service, ["/nix/store/program"])
    sandbox.add_input("program", Path("/bin/ls").resolve())
    run = sandbox.run(show=False, keep="never")
    assert (run.status, run.failed_at) == ("failed", "exec"), (run, run.log.text())
    # What a build prints itself is no proof: the same words from a command that ran are the build's fault.
    run = _run(service, "echo exec /x: no such file or directory >&2; exit 1", keep="never")
    assert (run.status, run.failed_at, run.exit_code) == ("failed", "build", 1)


def test_a_missing_output_lists_what_was_written_but_not_what_we_made(service: OCIBuildService) -> None:
    sandbox = _sandbox(service, "echo > /nix/store/other; mkdir /build/d; echo > /build/d/f", outputs=["nix/store/x"])
    sandbox.add_input("src", b"input")
    run = sandbox.run(show=False, keep="never")
    assert run.result is not None and run.result.written == ("/build/d", "/build/d/f", "/nix/store/other")
    assert "nix/store/x" in (run.message or "")


def test_cancelled_while_outputs_are_stored(service: OCIBuildService, passable_tmp: Path) -> None:
    # Large, and nothing to write: what takes long is to read it.
    run = _sandbox(service, "truncate -s 100G /nix/store/large", outputs=["nix/store/large"]).start()
    deadline = time.monotonic() + 30
    while not any(isinstance(event, StageEvent) and event.stage == "ingest" for event in run.record.read_stages()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.3)
    asked = time.monotonic()
    run.cancel()
    assert run.wait(60).status == "cancelled"
    assert time.monotonic() - asked < 5, "not when all of it was stored"
    assert not list((passable_tmp / "bundles").glob("*/config.json"))


def test_a_signal_a_time_limit_and_a_cancel(service: OCIBuildService) -> None:
    for command, said in [
        ("trap 'echo asked; exit 7' TERM; sleep 60 & wait", "asked\n"),
        ("sh -c 'trap \"echo trapped; exit\" TERM; while :; do sleep 0.05; done'; true", "trapped\n"),
        ("sleep 60", ""),
    ]:
        # Long enough for a first build on a busy host to have set its trap.
        run = _run(service, command, timeout=1.5, keep="never")
        assert (run.status, run.exit_code) == ("timed-out", None) and "1.5" in (run.message or "")
        assert run.usage is not None and run.usage.wall is not None and run.usage.wall < 5
        assert said in run.log.text()
    started = _sandbox(service, "echo up; sleep 60").start(keep="never")
    assert next(event for event in started.events if isinstance(event, LogEvent)).data == b"up\n"
    started.cancel()
    assert started.wait(20).status == "cancelled"


def test_events_of_a_build_come_in_the_order_of_its_life(service: OCIBuildService) -> None:
    run = _run(service, "echo out; echo err >&2")
    events = list(run.events)
    stages = [(event.stage, event.state) for event in events if isinstance(event, StageEvent)]
    life = ["request", "render", "queue", "bundle", "mount", "run", "ingest", "clean", "result"]
    assert stages == [(stage, state) for stage in life for state in ("started", "finished")]
    kinds = [event.type for event in events]
    first_log = kinds.index("log")
    run_finished = next(
        i for i, e in enumerate(events) if isinstance(e, StageEvent) and (e.stage, e.state) == ("run", "finished")
    )
    assert all(kind == "log" for kind in kinds[first_log : run_finished - 1]) or first_log < run_finished
    assert isinstance(events[-1], EndEvent) and events[-1].exit_code == 0
    assert {(e.stream, e.data) for e in events if isinstance(e, LogEvent)} == {
        ("stdout", b"out\n"),
        ("stderr", b"err\n"),
    }


def test_the_access_trace_is_complete_the_tenth_time_like_the_first(service: OCIBuildService, tmp_path: Path) -> None:
    (tmp_path / "src" / "sub").mkdir(parents=True)
    (tmp_path / "src" / "sub" / "read").write_text("x" * 5000)
    (tmp_path / "src" / "untouched").write_text("y")
    sandbox = _sandbox(service, "cat /nix/store/src/sub/read >/dev/null; test -e /nix/store/src/missing; true")
    sandbox.add_input("src", tmp_path / "src")
    traces = [sandbox.run(show=False).accesses for _ in range(10)]
    first = traces[0]
    assert first is not None
    access = first.inputs["src"]
    assert access.read["sub/read"] == 5000 and "missing" in access.missing and "sub/read" in access.opened
    assert "untouched" not in access.looked_up
    assert all(trace == first for trace in traces)


def test_without_a_trace_runs_share_a_warm_view(service: OCIBuildService, no_leftovers: Leftovers) -> None:
    sandbox = _sandbox(service, "cat /nix/store/src")
    sandbox.add_input("src", b"warm")
    for _ in range(3):
        run = sandbox.run(show=False, trace=False)
        assert run.ok and run.log.text() == "warm" and run.accesses is None


def test_observed_the_container_is_as_it_was_planned(service: OCIBuildService) -> None:
    run = _run(service, "grep CapEff /proc/self/status; cat /proc/self/uid_map", observe=True)
    inside = run.inside
    assert run.ok and inside is not None
    assert inside.status["CapEff"] in run.log.text()
    assert [m.container_id for m in inside.uid_map] == [0, 1000] and all(m.host_id > 1000 for m in inside.uid_map)
    ours = {name: Path(f"/proc/self/ns/{name}").readlink().name for name in ("pid", "mnt", "net", "user", "uts", "ipc")}
    assert all(inside.namespaces[name] != ours[name] for name in ours)
    planned = _sandbox(service, "true").mount_table()
    for row in planned:
        assert inside.mount(row.destination) is not None, row.destination
    assert inside.modes["/tmp"]["mode"] & 0o7777 == 0o1777
    assert inside.limits["Max open files"][:2] == ("1024", "1024")


def test_a_terminal_is_one_of_our_own(service: OCIBuildService) -> None:
    sandbox = _sandbox(
        service, "test -t 0 && test -t 1 && test -t 2 && echo yes", options=SpecOptions.for_host(terminal=True)
    )
    run = sandbox.run(show=False)
    assert run.ok and run.log.text("terminal") == "yes\r\n"


def test_the_options_of_tvix_run_with_this_hosts_id_maps(service: OCIBuildService) -> None:
    sandbox = _sandbox(service, "id -u; stat -c %a /tmp", options=SpecOptions.tvix())
    run = sandbox.run(show=False, keep="never")
    assert run.ok and re.split(r"\s+", run.log.text().strip()) == ["1000", "700"]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_limits_hold(passable_tmp: Path, tmp_path: Path, no_leftovers: Leftovers, runtime: str) -> None:
    service = OCIBuildService(passable_tmp / "bundles", open_castore(tmp_path / "store"), runtime=runtime)
    pids = _sandbox(
        service, "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done", options=SpecOptions.for_host(limits=Limits(pids=4))
    )
    assert "can't fork" in pids.run(show=False, keep="never").log.text()
    hungry = "head -c 200000000 /dev/zero | tail -c 150000000 | wc -c"
    memory = _sandbox(service, hungry, options=SpecOptions.for_host(limits=Limits(memory=32 << 20)))
    run = memory.run(show=False, keep="never")
    usage = run.usage
    assert usage is not None and usage.oom_kills and usage.peak_memory is not None and usage.peak_memory <= 40 << 20, (
        usage
    )
    burn = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done"
    cpu = _sandbox(service, burn, options=SpecOptions.for_host(limits=Limits(cpu=0.2))).run(show=False)
    usage = cpu.usage
    assert cpu.ok and usage is not None and usage.wall is not None and usage.cpu is not None
    assert usage.cpu < 0.7 * usage.wall


def test_usage_counts_the_whole_sandbox(service: OCIBuildService) -> None:
    run = _run(
        service,
        "head -c 60000000 /dev/zero | tail -c 50000000 | wc -c; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done",
    )
    usage = run.usage
    assert usage is not None and usage.source == "cgroup"
    assert usage.peak_memory is not None and usage.peak_memory > 40_000_000
    assert usage.cpu is not None and usage.wall is not None and 0 < usage.cpu < 4 * usage.wall


def test_stdin_is_closed_and_daemons_end_with_the_build(service: OCIBuildService) -> None:
    run = _run(service, "cat; (sleep 1000 >/dev/null 2>&1 &); (sleep 1000 &); echo done", timeout=20)
    assert run.ok and run.log.text() == "done\n"


def test_bundles_are_kept_as_asked(service: OCIBuildService) -> None:
    for command, keep, kept in [
        ("true", "failure", False), ("false", "failure", True), ("true", "always", True), ("false", "never", False),
    ]:  # fmt: skip
        run = _run(service, command, keep=keep)
        assert (run.bundle is not None) == kept, (command, keep)
        if run.bundle is not None:
            assert run.bundle.stat().st_mode & 0o077 == 0
            assert not (run.bundle / "state").exists()
            run.delete()


def test_what_a_run_does_without_is_said_or_refused(
    passable_tmp: Path, tmp_path: Path, no_leftovers: Leftovers
) -> None:
    service = OCIBuildService(passable_tmp / "bundles", open_castore(tmp_path / "store"), namespaces=False)
    run = _run(service, "cat /proc/self/uid_map")
    assert run.ok and any("namespaces" in text for text in run.degraded)
    assert run.result is not None and "without: namespaces" in run.result.verdict()
    with pytest.raises(HostRefused, match="strict.*namespaces"):
        _run(service, "true", strict=True)


def test_an_unknown_input_is_refused_before_anything_starts(service: OCIBuildService) -> None:
    sandbox = _sandbox(service, "true")
    sandbox.inputs["ghost"] = open_castore("memory:").ingest_bytes(b"elsewhere")
    with pytest.raises(NotFound, match="ghost") as caught:
        sandbox.run(show=False)
    assert (caught.value.path, caught.value.index, caught.value.stage) == ("inputs", 0, "request")
    assert not list((service._root_path).glob("kept-*"))


def test_a_store_in_memory_builds_too(passable_tmp: Path, no_leftovers: Leftovers) -> None:
    castore = open_castore("memory:")
    service = OCIBuildService(passable_tmp / "bundles", castore)
    sandbox = _sandbox(service, "cat /nix/store/i > /nix/store/o", outputs=["nix/store/o"])
    sandbox.add_input("i", b"kept in memory")
    assert sandbox.run(show=False).outputs["nix/store/o"].read_bytes() == b"kept in memory"


def test_a_host_program_runs_inside(service: OCIBuildService) -> None:
    sandbox = _sandbox(service, ["/usr/bin/env", "-i", "A=b", "env"], inputs_dir="", env={"PATH": "/usr/bin:/bin"})
    taken = sandbox.add_host_program("env")
    assert any("ld-" in path for path in taken)
    run = sandbox.run(show=False)
    assert run.ok and run.log.text() == "A=b\n", (run, run.log.text())


@pytest.mark.parametrize("stream", ["stdout", "terminal"])
def test_a_gigabyte_of_output_neither_grows_this_process_nor_takes_for_ever(
    service: OCIBuildService, stream: str
) -> None:
    size = 1 << 30 if stream == "stdout" else 1 << 26
    code = f"""
import resource
from tvixbuild_nb import Sandbox, SpecOptions
sandbox = Sandbox("true", options=SpecOptions.for_host(terminal={stream == "terminal"}))
sandbox.run(show=False)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sandbox.command = ("/bin/sh", "-c", "head -c {size} /dev/zero")
run = sandbox.run()
assert run.ok, run
assert run.log.size == {size}, run.log.size
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
run.delete()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) < 64 * 1024, f"{done.stdout} KiB more"
    assert len(done.stderr) < 2_000_000


def test_a_request_saved_by_one_is_built_by_another(service: OCIBuildService, tmp_path: Path) -> None:
    sandbox = _sandbox(service, "echo made > /nix/store/x", outputs=["nix/store/x"])
    sandbox.save(tmp_path / "x.json")
    request = BuildRequest.from_json((tmp_path / "x.json").read_bytes())
    run = Sandbox.from_request(request, store=service.castore, builder=service).run(show=False)
    assert run.ok and Run.open(run.id[:-1]).outputs["nix/store/x"].read_text() == "made\n"


def test_crun_is_here_to_be_tested() -> None:
    assert shutil.which("crun"), "tests/apt.txt installs it"


def test_a_host_script_brings_a_place_for_the_sandboxs_shell(service: OCIBuildService) -> None:
    sandbox = _sandbox(service, "ldd --version && test -x /bin/sh", inputs_dir="", env={"PATH": "/usr/bin:/bin"})
    sandbox.add_host_program("ldd", data=["/bin/cat"])
    run = sandbox.run(show=False, keep="never")
    assert run.ok, (str(run), run.log.text())
