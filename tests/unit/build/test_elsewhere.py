"""Builds through a server of this process, over a dummy: what goes over the line and what is asked again."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tvixbuild_nb.build import BuildContext, BuildOutput, BuildResult, DummyBuild, DummyBuildService, state_directory
from tvixbuild_nb.build.remote import RemoteBuildService
from tvixbuild_nb.castore import Castore, DirectoryNode, FileNode, Node, copy_closure, open_castore
from tvixbuild_nb.castore.memory import MemoryBlobs
from tvixbuild_nb.errors import InvalidValue, OutputError, RemoteError
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.sandbox import Sandbox
from tvixbuild_nb.serve import Listen, Server, ServerOptions


def imitate(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
    build.print("said\n")
    if request.command_args[-1] == "wait":
        build.sleep(60)
    return {path: build.castore.ingest_bytes(path.encode()) for path in request.outputs}


@pytest.fixture
def far() -> Iterator[Castore]:
    with open_castore("memory:") as castore:
        yield castore


@pytest.fixture
def server(far: Castore, tmp_path: Path) -> Iterator[Server]:
    options = ServerOptions(max_builds=1)
    with Server(Listen(path=tmp_path / "s"), far, DummyBuildService(far, imitate), options) as server:
        yield server


@pytest.fixture
def near(tmp_path: Path) -> Iterator[Castore]:
    with open_castore(tmp_path / "near") as castore:
        yield castore


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree" / "below").mkdir(parents=True)
    (tmp_path / "tree" / "below" / "file").write_text("contents")
    return tmp_path / "tree"


def test_a_directory_that_is_there_without_its_contents(
    server: Server, far: Castore, near: Castore, tree: Path
) -> None:
    sb = Sandbox("x", store=near, builder=server.address)
    node = sb.add_input("in", tree)
    assert isinstance(node, DirectoryNode)
    for directory in reversed(list(near.directories.get_closure(node.digest))):
        far.directories.put(directory)
    assert not far.has_closure(node)
    assert sb.run(show=False).ok and far.has_closure(node)


def test_what_neither_side_has(server: Server, far: Castore, near: Castore, tree: Path) -> None:
    with open_castore("memory:") as elsewhere:
        node = elsewhere.ingest(tree)
        sb = Sandbox("x", store=near, builder=server.address)
        sb.add_input("in", node)
        run = sb.run(show=False)
        assert (run.status, run.failed_at) == ("failed", "setup") and "neither" in run.message
        copy_closure(elsewhere, far, node)
        assert sb.run(show=False).ok


def test_outputs_are_fetched_for_whoever_checks_them(server: Server, near: Castore) -> None:
    refusals: list[str] = []

    def check(request: BuildRequest, outputs: Sequence[BuildOutput]) -> None:
        assert near.tree(outputs[0].node).read_text() == "nix/store/out"
        if refusals:
            raise OutputError(refusals[0])

    class Checking(RemoteBuildService):
        def do_build(self, request: BuildRequest, context: BuildContext) -> BuildResult:
            return super().do_build(request, replace(context, check=check))

    service = Checking(server.address, near)
    sb = Sandbox("x", store=near, outputs=["nix/store/out"], builder=service)
    assert sb.run(show=False).ok
    refusals.append("not that")
    run = sb.run(show=False)
    assert (run.status, run.failed_at) == ("failed", "output") and "not that" in run.message
    assert run.result is not None and len(run.result.rejected) == 1
    service.close()


def test_more_builds_than_are_taken(far: Castore, near: Castore, tmp_path: Path) -> None:
    service, options = DummyBuildService(far, imitate), ServerOptions(max_builds=1, max_waiting=1)
    with Server(Listen(path=tmp_path / "s"), far, service, options) as server:
        sb = Sandbox(["wait"], store=near, builder=server.address)
        runs = [sb.start(), sb.start()]
        with pytest.raises(RemoteError, match="no more are taken") as raised:
            sb.start()
        assert raised.value.code == "RESOURCE_EXHAUSTED"
        assert "larger --max-builds" in str(raised.value)
        for run in runs:
            run.cancel()
            run.wait(30)
            assert run.status == "cancelled"
        assert Sandbox(["x"], store=near, builder=server.address).run(show=False).ok


def test_what_was_refused_leaves_no_record(far: Castore, near: Castore, tmp_path: Path) -> None:
    service, options = DummyBuildService(far, imitate), ServerOptions(max_builds=1, max_waiting=0)
    with Server(Listen(path=tmp_path / "s"), far, service, options) as server:
        run = Sandbox(["wait"], store=near, builder=server.address).start()
        for _ in range(3):
            with pytest.raises(RemoteError, match="no more are taken"):
                Sandbox(["x"], store=near, builder=server.address).start()
        (serving,) = (state_directory() / "serving").iterdir()
        assert len(list(serving.iterdir())) == 2, "its lock, and the record of the build that goes on"
        run.cancel()
        run.wait(30)


def test_any_builder_builds_no_more_at_once_than_are_allowed(far: Castore, near: Castore, tmp_path: Path) -> None:
    at_once, most = 0, 0
    lock = threading.Lock()

    def count(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        build.sleep(0.1)
        with lock:
            at_once -= 1
        return {}

    options = ServerOptions(max_builds=2)
    with Server(Listen(path=tmp_path / "s"), far, DummyBuildService(far, count), options) as server:
        # Those that wait are runs already, which can be looked at and cancelled.
        runs = [Sandbox(["x"], store=near, builder=server.address).start() for _ in range(7)]
        for run in runs:
            run.wait(30)
        assert [run.status for run in runs] == ["succeeded"] * 7
        assert most == 2
        assert "queue" in runs[-1].timings


def test_a_builder_with_a_store_of_its_own_is_not_served(far: Castore, tmp_path: Path) -> None:
    elsewhere = DummyBuildService(script=imitate)
    with pytest.raises(InvalidValue, match="its own store"):
        Server(Listen(path=tmp_path / "s"), far, elsewhere)
    remote = RemoteBuildService(f"grpc+unix:{tmp_path}/other", far)
    with pytest.raises(InvalidValue) as raised:
        Server(Listen(path=tmp_path / "s"), far, remote)
    assert "directly" in (raised.value.hint or "")
    remote.close()


def test_contents_that_are_lost_meanwhile_are_asked_for_again(far: Castore, near: Castore, tmp_path: Path) -> None:
    def read(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
        for node in request.inputs.values():
            if not build.castore.has(node):
                raise OutputError("an input could not be read")
        return {}

    with Server(Listen(path=tmp_path / "s"), far, DummyBuildService(far, read)) as server:
        sb = Sandbox(["x"], store=near, builder=server.address)
        node = sb.add_input("in", b"contents")
        assert sb.run(show=False).ok
        assert isinstance(node, FileNode) and isinstance(far.blobs, MemoryBlobs)
        far.blobs.forget([node.digest])
        assert not sb.run(show=False).ok
        assert sb.run(show=False).ok, "the server looked again, and the client brought it again"
