"""A server that is killed in the middle: clients hear of it within seconds, and neither side keeps half of anything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.leftovers import Leftovers
from support.served import PACKAGE, Served, served
from support.wireclient import WireClient
from tvixbuild_nb.castore import Castore, FileNode, open_castore
from tvixbuild_nb.castore.progress import Silent
from tvixbuild_nb.castore.remote import upload
from tvixbuild_nb.errors import BuildFailed, RemoteError, RemoteStoreError
from tvixbuild_nb.sandbox import Run, Sandbox
from tvixbuild_nb.sandbox.saving import SavedSize, save_all

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("root")]

# Seconds in which a client must have heard: the line is dead at once, the rest is the machine's.
SOON = 15.0


class KillAfter(Silent):
    """Progress that kills a server once so many bytes were sent."""

    def __init__(self, server: Served, count: int) -> None:
        super().__init__()
        self._server = server
        self._count = count
        self.killed: float | None = None

    def advance(self, files: int = 0, bytes: int = 0) -> None:
        super().advance(files, bytes)
        if self.bytes >= self._count and self.killed is None:
            self.killed = time.monotonic()
            self._server.kill()


def large_blob(castore: Castore, size: int) -> FileNode:
    with castore.blobs.open_write() as writer:
        for number in range(size >> 20):
            writer.write(number.to_bytes(8, "big") * (1 << 17))
        return FileNode(writer.close(), size)


def blob_files(store: Path) -> list[Path]:
    return [path for path in (store / "blobs").rglob("*") if path.is_file()]


def test_in_an_upload(tmp_path: Path, near: Castore) -> None:
    node = large_blob(near, 64 << 20)
    (tmp_path / "tree").mkdir()
    for number in range(300):
        (tmp_path / "tree" / str(number)).write_bytes(os.urandom(3000))
    tree = near.ingest(tmp_path / "tree")
    home = tmp_path / "server"
    for wanted, count in ((node, 8 << 20), (tree, 300_000)):
        with served(home, "--builder", "none") as server, open_castore(server.address) as far:
            progress = KillAfter(server, count)
            with pytest.raises(RemoteStoreError) as raised:
                upload(near, far, [wanted], progress)
            assert progress.killed is not None and time.monotonic() - progress.killed < SOON
            assert raised.value.code == "UNAVAILABLE" and raised.value.hint
        with open_castore(home / "store") as castore:
            castore.ingest_bytes(b"the next one tidies up")
            assert not castore.has_closure(wanted)
            assert not list((home / "store" / "tmp").iterdir()) and not blob_files(home / "store")
    # And goes on where it was.
    with served(home, "--builder", "none") as server, open_castore(server.address) as far:
        upload(near, far, [node, tree], Silent())
        assert far.has_closure(node) and far.has_closure(tree)


def test_in_a_download(tmp_path: Path, near: Castore) -> None:
    home = tmp_path / "server"
    with open_castore(home / "store") as castore:
        node = large_blob(castore, 64 << 20)
        (tmp_path / "tree").mkdir()
        for number in range(50):
            (tmp_path / "tree" / str(number)).write_bytes(os.urandom(3000))
        tree = castore.ingest(tmp_path / "tree")
    with served(home, "--builder", "none") as server, open_castore(server.address) as far:
        stream = far.blobs.open_read(node.digest)
        assert stream is not None
        assert stream.read(1 << 20)
        server.kill()
        killed = time.monotonic()
        with stream, pytest.raises(RemoteStoreError):
            while stream.read(1 << 20):
                pass
        with pytest.raises(RemoteStoreError):
            far.export(tree, tmp_path / "exported")
        with pytest.raises(RemoteStoreError):
            far.blobs.has(node.digest)
        assert time.monotonic() - killed < SOON
    assert not (tmp_path / "exported").exists()
    assert not near.has(node) and not near.has(tree)


def test_in_a_build(server: Served, near: Castore, passable_tmp: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    (tree / "bin" / "x").write_text("x")
    sandbox = Sandbox("echo said; sleep 60", store=near, builder=server.address)
    sandbox.add_input("in", near.ingest(tree))
    run = sandbox.start()
    _await_log(run)
    server.kill()
    killed = time.monotonic()
    run.wait(SOON)
    assert time.monotonic() - killed < SOON
    assert (run.status, run.failed_at) == ("failed", "setup") and run.hint
    assert server.address in run.message and run.log.text() == "said\n"
    with pytest.raises(BuildFailed):
        run.raise_for_status()
    # What the server's builds had is gone with it; the fixture looks for the rest.
    deadline = time.monotonic() + 20
    while list((passable_tmp / "bundles").glob("*/config.json")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with pytest.raises(RemoteError) as raised:
        sandbox.run(show=False)
    assert raised.value.code == "UNAVAILABLE"


CLIENT = """
import sys
from tvixbuild_nb import Sandbox
run = Sandbox("echo said; sleep 60; echo never", builder=sys.argv[1], store=sys.argv[2]).start()
for event in run.events:
    if event.type == "log":
        print(event.data.decode(), end="", flush=True)
"""


def test_of_the_client_ends_its_build(server: Served, tmp_path: Path, passable_tmp: Path) -> None:
    command = [sys.executable, "-c", CLIENT, server.address, str(tmp_path / "near")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": PACKAGE}
    ) as client:
        assert client.stdout is not None and client.stdout.readline() == "said\n"
        assert list((passable_tmp / "bundles").glob("*/config.json"))
        client.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + SOON
    while list((passable_tmp / "bundles").glob("*/config.json")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    # And the server serves on, with nothing of that build left.
    run = Sandbox("echo again", store=tmp_path / "near", builder=server.address).run(show=False)
    assert run.ok and run.log.text() == "again\n"
    (serving,) = (tmp_path / "server" / "state" / "tvixbuild-nb" / "serving").iterdir()
    assert [path.name for path in serving.iterdir()] == ["lock"]


def test_a_server_that_is_stopped_ends_its_builds(server: Served, tmp_path: Path, near: Castore) -> None:
    run = Sandbox("echo said; sleep 60", store=near, builder=server.address).start()
    _await_log(run)
    assert server.stop() == 0
    run.wait(SOON)
    assert (run.status, run.failed_at) == ("failed", "setup"), "nobody here cancelled it"
    assert "the server was stopped" in run.message and "when the server is back" in (run.hint or "")
    assert not list((tmp_path / "server" / "state" / "tvixbuild-nb" / "serving").iterdir())


def _await_log(run: Run) -> None:
    deadline = time.monotonic() + 30
    while run.log.size < 5:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_run_whose_server_is_gone_is_kept_without_its_contents(
    server: Served, near: Castore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TVIXBUILD_NB_STATE", str(tmp_path / "state"))
    command = "echo said; echo made > /nix/store/out"
    run = Sandbox(command, outputs=["nix/store/out"], store=near, builder=server.address).run(show=False)
    assert run.ok
    server.kill()
    (saved,) = save_all(tmp_path / "records")
    assert isinstance(saved, SavedSize) and not saved.manifest.content.outputs
    loaded = Run.load(saved.path)
    assert loaded.log.text() == "said\n"
    assert loaded.outputs["nix/store/out"].digest == run.outputs["nix/store/out"].digest


WAITING = """
import sys
from tvixbuild_nb import Sandbox
run = Sandbox("echo > /nix/store/never", builder=sys.argv[1], store=sys.argv[2]).start()
print("accepted", flush=True)
run.wait()
"""


def test_of_a_client_that_waits_for_its_turn(tmp_path: Path, passable_tmp: Path, no_leftovers: Leftovers) -> None:
    builder = f"oci:{passable_tmp / 'bundles'}"
    with served(tmp_path / "server", "--builder", builder, "--max-builds", "1") as server:
        (serving,) = (tmp_path / "server" / "state" / "tvixbuild-nb" / "serving").iterdir()

        def await_records(count: int) -> None:
            deadline = time.monotonic() + SOON
            while len([path for path in serving.iterdir() if path.is_dir()]) != count:
                assert time.monotonic() < deadline, list(serving.iterdir())
                time.sleep(0.05)

        first = Sandbox("echo said; sleep 60", store=tmp_path / "near", builder=server.address).start()
        _await_log(first)
        # One that is watched and is killed, and one that only waits for the answer and hangs up.
        command = [sys.executable, "-c", WAITING, server.address, str(tmp_path / "other")]
        environment = os.environ | {"PYTHONPATH": PACKAGE}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as client:
            assert client.stdout is not None and client.stdout.readline() == "accepted\n"
            with WireClient(server.address) as plain:
                request = Sandbox("echo > /nix/store/never", store=tmp_path / "near").request.to_bytes()
                call = plain.channel.unary_unary("/snix.build.v1.BuildService/DoBuild").future(request)
                await_records(3)
                client.send_signal(signal.SIGKILL)
                await_records(2)
                call.cancel()
                await_records(1)
        assert first.result is None, "who builds is none the worse"
        first.cancel()
        first.wait(SOON)
        await_records(0)
        assert not list((passable_tmp / "bundles").glob("*/config.json"))
        run = Sandbox("echo again", store=tmp_path / "near", builder=server.address).run(show=False)
        assert run.ok and run.log.text() == "again\n"
