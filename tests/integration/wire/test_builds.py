"""A build from one process through another: inputs go there first, log and stages come live, outputs as looked at."""

from __future__ import annotations

import json
import signal
import threading
import time
from pathlib import Path

import pytest

from support.cli import start_command
from support.served import Served
from tvixbuild_nb.castore import Castore
from tvixbuild_nb.errors import BuildFailed, HostRefused, InvalidAddress, InvalidValue, RemoteError
from tvixbuild_nb.oci import SpecOptions
from tvixbuild_nb.sandbox import Run, Sandbox

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    tree = tmp_path / "source"
    (tree / "deep" / "er").mkdir(parents=True)
    (tree / "deep" / "er" / "small").write_text("so much depends\n")
    (tree / "large").write_bytes(bytes(range(256)) * 20_000)
    (tree / "link").symlink_to("deep")
    (tree / "empty").mkdir()
    return tree


def sandbox(server: Served, near: Castore, script: str, **more: object) -> Sandbox:
    return Sandbox(script, store=near, builder=server.address, **more)  # type: ignore[arg-type]


def test_it_looks_like_a_build_here(server: Served, near: Castore, source: Path) -> None:
    script = "echo one; sleep 0.3; echo two >&2; cat src/deep/er/small; mkdir out; cp -r src out/; ln -s /etc out/l"
    sb = sandbox(
        server, near, f"cd /nix/store; {script}", outputs=["nix/store/out"], refscan_needles=["depends", "never"]
    )
    node = sb.add_input("src", source)
    seen: list[tuple[float, str]] = []
    run = sb.start(observe=True)
    for event in run.events:
        seen.append((time.time(), event.type if event.type != "stage" else f"{event.stage} {event.state}"))
    run.wait()
    assert run.ok, str(run)
    assert run.log.text() == "one\ntwo\nso much depends\n" and run.log.text("stderr") == "two\n"
    logs = [when for when, what in seen if what == "log"]
    assert logs[-1] - logs[0] > 0.2, "the log comes as it is written"
    stages = [what for _, what in seen if " " in what]
    assert stages[0] == "request started" and stages[-1] == "result finished"
    assert {f"{stage} finished" for stage in ("render", "queue", "bundle", "mount", "run", "ingest", "clean")} <= {
        *stages
    }
    assert run.result is not None and run.result.service == server.address == run.result.store
    assert run.castore.address == server.address and near.has_closure(node)
    out = run.outputs["nix/store/out"]
    assert (out / "src").node == node and (out / "src/deep/er/small").read_text() == "so much depends\n"
    with (out / "src/large").open() as stream:
        stream.seek(5_000_000)
        assert stream.read(3) == bytes([64, 65, 66])
    assert run.needles["nix/store/out"] == ("depends",)
    assert not near.has(out.node), "nothing of the output was fetched but what was looked at"
    assert run.accesses is not None and run.accesses.inputs["src"].opened
    assert run.config is not None and run.inside is not None and run.isolation() is not None
    assert run.usage is not None and run.usage.wall
    with pytest.raises(HostRefused, match="cannot be entered"):
        run.exec("true", fresh=True)
    again = Run.open(run.id)
    assert (again.outputs["nix/store/out"] / "src/deep/er/small").read_text() == "so much depends\n"


def test_only_what_lacks_is_uploaded(server: Served, near: Castore, far: Castore, source: Path) -> None:
    first = sandbox(server, near, "true")
    node = first.add_input("a", source)
    assert first.run(show=False).ok and far.has_closure(node)
    # What is there need not be here any more.
    (source / "deep" / "new").write_text("new")
    second = sandbox(server, near, "cat /nix/store/a/deep/new /nix/store/b/large | wc -c")
    second.add_input("a", source)
    elsewhere = Sandbox(store="memory:", builder=server.address, command="wc -c < /nix/store/b/large")
    elsewhere.add_input("b", node)
    run = elsewhere.run(show=False)
    assert run.log.text() == "5120000\n"
    second.add_input("b", node)
    assert second.run(show=False).log.text() == "5120003\n"


def test_what_nobody_has_is_named(server: Served, near: Castore, tmp_path: Path) -> None:
    from tvixbuild_nb.castore import Digest, FileNode

    sb = sandbox(server, near, "true")
    sb.add_input("gone", FileNode(Digest(b"\x42" * 32), 3))
    run = sb.run(show=False)
    assert (run.status, run.failed_at) == ("failed", "setup") and "neither" in run.message and "4242" in run.message


def test_failures_are_the_runs(server: Served, near: Castore) -> None:
    run = sandbox(server, near, "echo why >&2; exit 3").run(show=False)
    assert (run.status, run.failed_at, run.exit_code) == ("failed", "build", 3) and run.log.text() == "why\n"
    run = sandbox(server, near, "echo x > /nix/store/other", outputs=["nix/store/out"]).run(show=False)
    assert run.failed_at == "output" and run.result is not None and run.result.written == ("/nix/store/other",)
    run = sandbox(server, near, "sleep 60").run(timeout=0.5, show=False)
    assert run.status == "timed-out"
    run = sandbox(server, near, "sleep 60").run(silent_timeout=0.5, show=False)
    assert run.status == "timed-out" and run.record.read_processes() is not None
    with pytest.raises(BuildFailed):
        sandbox(server, near, "exit 1").run(check=True, show=False)


def test_who_keeps_a_server_reads_what_it_builds(tmp_path: Path, passable_tmp: Path, near: Castore) -> None:
    builder = ["--builder", f"oci:{passable_tmp / 'bundles'}", "--store", tmp_path / "far"]
    with start_command("serve", "--listen", "127.0.0.1:0", *builder) as process:
        assert process.stdout is not None and process.stderr is not None
        address = process.stdout.readline().decode().split()[-1]
        runs = [Sandbox(command, store=near, builder=address).run(show=False) for command in ("true", "exit 3")]
        process.send_signal(signal.SIGTERM)
        lines = process.stderr.read().decode().splitlines()
        assert process.wait(30) == 0
    for run, ended in zip(runs, ("succeeded in", "failed at build"), strict=True):
        begun, over = (line.partition(f"build {str(run.request.digest)[:12]}")[2] for line in lines[:2])
        assert begun.startswith(" begins, for ipv4:127.0.0.1:") and over.startswith(f": {ended}"), lines
        del lines[:2]
    assert lines == []


def test_a_check_says_what_it_could_not_vary_there(server: Served, near: Castore) -> None:
    command = "cd /build; for i in 1 2 3 4 5 6 7 8; do echo > f$i; done; find . | sort > /nix/store/out"
    checked = sandbox(server, near, command, outputs=["nix/store/out"]).check(n=2, vary=["order"])
    assert checked and checked.not_varied == ("listing: scratch directories stay on the builder's file system",)


def test_what_the_server_refuses_is_raised_here(server: Served, near: Castore) -> None:
    for changes, word in (({"system": "vax-vms"}, "vax"), ({"available_ro_paths": ["/etc"]}, "may not read")):
        with pytest.raises(HostRefused, match=word) as raised:
            sandbox(server, near, "true", **changes).run(show=False)
        assert raised.value.hint
    with pytest.raises(HostRefused, match="strict"):
        options = SpecOptions.for_host(capabilities=())
        sandbox(server, near, "true", options=options).run(strict=True, show=False)
    run = sandbox(server, near, "hostname", options=SpecOptions.for_host(hostname="elsewhere")).run(show=False)
    assert run.log.text() == "elsewhere\n" and run.result is not None and not run.result.degraded


def test_addresses_and_choices(server: Served, near: Castore) -> None:
    with pytest.raises(InvalidAddress, match="nothing may follow"):
        sandbox(server, near, "true", builder_store=f"{server.address}/path").run(show=False)
    with pytest.raises(InvalidValue, match="runtimes"):
        sandbox(server, near, "true", runtime="crun").run(show=False)
    with pytest.raises(InvalidValue, match="this process's store"):
        Sandbox("true", builder="dummy:", builder_store=server.address, store=near).run(show=False)
    with pytest.raises(RemoteError) as raised:
        Sandbox("true", builder="grpc+http://127.0.0.1:9", store=near).run(show=False)
    assert raised.value.code == "UNAVAILABLE" and raised.value.hint


def test_cancelling(server: Served, near: Castore, passable_tmp: Path) -> None:
    run = sandbox(server, near, "echo said; sleep 60").start()
    while run.log.size < 5:
        time.sleep(0.02)
    run.cancel()
    run.wait(10)
    assert run.status == "cancelled" and run.log.text() == "said\n"
    deadline = time.monotonic() + 15
    while list((passable_tmp / "bundles").glob("*/config.json")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_many_wait_for_their_turn(server: Served, near: Castore) -> None:
    runs = [sandbox(server, near, f"sleep 0.1; echo {number}").start() for number in range(12)]
    threads = [threading.Thread(target=run.wait) for run in runs]
    for thread in threads:
        thread.start()
    # Contents are served meanwhile.
    assert near.ingest_bytes(b"x") and runs[0].castore.ingest_bytes(b"x")
    for thread in threads:
        thread.join()
    assert [run.log.text() for run in runs] == [f"{number}\n" for number in range(12)]


def test_from_the_command_line(server: Served, near: Castore, tmp_path: Path) -> None:
    request = sandbox(server, near, "echo said; echo made > /nix/store/out", outputs=["nix/store/out"]).request
    (tmp_path / "r.json").write_text(request.to_json())
    command = ["run", tmp_path / "r.json", "--json", "--store", near.address, "--builder", server.address]
    with start_command(*command, "--builder-store", server.address) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    summary = json.loads(out)
    assert summary["status"] == "succeeded" and b"said" in err
    digest = summary["outputs"][0]["digest"]
    with start_command("cat", digest, "--store", server.address) as process:
        assert process.communicate(timeout=60)[0] == b"made\n"
