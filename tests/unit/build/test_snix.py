"""Builds by what behaves as Snix: two daemons, one answer at the end, outputs without names; and by an old Tvix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from support.snix import Builder, Contents, build_daemon, castore_daemon
from tvixbuild_nb.castore import Castore, DirectoryNode, open_castore
from tvixbuild_nb.errors import HostRefused, RemoteError
from tvixbuild_nb.proto import snix_castore_pb2
from tvixbuild_nb.sandbox import Sandbox


def build(request: Any, contents: Contents) -> list[tuple[Any, list[int]]] | str:
    """One output names what there was as inputs, the other is the first of them."""
    if request.command_args[-1] == "fail":
        return "nonzero exit code"
    if any(_lost(node, contents) for node in request.inputs):
        return "unable to mount the inputs"
    names = b"".join(getattr(node, node.WhichOneof("node" if node.DESCRIPTOR.name == "Node" else "entry")).name
                     for node in request.inputs)  # fmt: skip
    data = names + b"\n"
    said = snix_castore_pb2.Entry(file={"digest": contents.put_blob(data), "size": len(data)})
    first = snix_castore_pb2.Entry.FromString(request.inputs[0].SerializeToString())
    getattr(first, first.WhichOneof("entry")).ClearField("name")
    return [(said, [0]), (first, [])]


def _lost(node: Any, contents: Contents) -> bool:
    """Whether something below a node is not there."""
    kind = node.WhichOneof("node" if node.DESCRIPTOR.name == "Node" else "entry")
    entry = getattr(node, kind)
    if kind != "directory":
        return kind == "file" and entry.digest not in contents.blobs
    directory = contents.directories.get(entry.digest)
    if directory is None or any(file.digest not in contents.blobs for file in directory.files):
        return True
    return any(_lost(snix_castore_pb2.Entry(directory=below), contents) for below in directory.directories)


class Snix:
    """Both daemons, and a sandbox that builds there."""

    def __init__(self, stack: ExitStack, near: Castore, **how: Any) -> None:
        self.contents = Contents()
        self.store = stack.enter_context(castore_daemon(self.contents, **how))
        started: tuple[str, Builder] = stack.enter_context(build_daemon(self.contents, build, **how))
        self.address, self.builder = started
        self._near = near

    def sandbox(self, command: str = "", **more: Any) -> Sandbox:
        return Sandbox(
            ["build", command], outputs=["nix/store/a-said", "nix/store/b-first"], refscan_needles=["src"],
            store=self._near, builder=self.address, builder_store=self.store, **more,
        )  # fmt: skip


@pytest.fixture
def near(tmp_path: Path) -> Iterator[Castore]:
    with open_castore(tmp_path / "near") as castore:
        yield castore


@pytest.fixture(params=["snix", "snix-without-reflection", "tvix", "tvix-without-reflection"])
def snix(request: pytest.FixtureRequest, near: Castore) -> Iterator[Snix]:
    namespace, _, without = request.param.partition("-")
    with ExitStack() as stack:
        yield Snix(stack, near, namespace=namespace, reflected=not without)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for name in ("a/b/c", "a/d", "e"):
        (root / name).mkdir(parents=True)
        (root / name / "same").write_text("the same everywhere")
    (root / "a" / "large").write_bytes(bytes(9 << 20))
    (root / "link").symlink_to("a")
    return root


def test_a_build(snix: Snix, near: Castore, tree: Path) -> None:
    sb = snix.sandbox()
    node = sb.add_input("src", tree)
    sb.add_input("text", b"some text")
    run = sb.run(show=False)
    assert run.ok, str(run)
    assert run.outputs["nix/store/a-said"].read_text() == "srctext\n"
    assert run.outputs["nix/store/b-first"].node == node
    assert (run.outputs["nix/store/b-first"] / "a/b/c/same").read_text() == "the same everywhere"
    assert run.needles == {"nix/store/a-said": ("src",), "nix/store/b-first": ()}
    assert run.castore.address == snix.store and run.log.text() == ""
    (asked,) = snix.builder.asked
    assert asked.SerializeToString(deterministic=True) == sb.request.to_bytes()
    # Leaves first, each once (three of them are the same), all of it in one stream.
    (stream,) = snix.contents.streams_put
    assert len(stream) == len(set(stream)) == 4
    assert isinstance(node, DirectoryNode) and stream[-1] == node.digest
    assert len(snix.contents.blobs_put) == 3


def test_what_is_there_is_not_sent_again(snix: Snix, tree: Path) -> None:
    sb = snix.sandbox()
    sb.add_input("src", tree)
    assert sb.run(show=False).ok
    del snix.contents.blobs[blake3(b"the same everywhere").digest()]
    (tree / "new").write_text("new")
    sb.add_input("src", tree)
    assert sb.run(show=False).ok
    # What was lost there came again, the rest did not; the closure came whole.
    assert len(snix.contents.blobs_put) == 4
    assert [len(stream) for stream in snix.contents.streams_put] == [4, 4]


def test_what_was_lost_there_is_brought_again(snix: Snix, tree: Path) -> None:
    sb = snix.sandbox()
    sb.add_input("src", tree)
    assert sb.run(show=False).ok
    asked = len(snix.builder.asked)
    for lost in (snix.contents.blobs, snix.contents.directories):
        lost.clear()
        run = sb.run(show=False)
        assert run.ok, str(run)
        assert len(snix.contents.blobs) == 3 and len(snix.contents.directories) == 4
    # Each time it failed once, and was asked again when it was there.
    assert len(snix.builder.asked) == asked + 4
    sb.command = ["build", "fail"]
    assert not sb.run(show=False).ok
    assert len(snix.builder.asked) == asked + 5, "nothing was lost, so it is not built twice"


def test_failures(snix: Snix, near: Castore) -> None:
    sb = snix.sandbox("fail")
    sb.add_input("src", b"x")
    run = sb.run(show=False)
    assert (run.status, run.failed_at) == ("failed", "build") and "nonzero exit code" in run.message
    with pytest.raises(HostRefused, match="observe"):
        sb.run(observe=True, strict=True, show=False)
    run = sb.run(observe=True, show=False)
    assert run.result is not None and any("observe" in text for text in run.result.degraded)


def test_its_store_is_not_at_the_builders_address(snix: Snix, near: Castore) -> None:
    sb = snix.sandbox()
    sb.builder_store = None
    sb.add_input("src", b"x")
    with pytest.raises(RemoteError, match="no BlobService") as raised:
        sb.run(show=False)
    assert "builder_store" in str(raised.value)


def test_answers_that_are_wrong(near: Castore) -> None:
    def one(request: Any, contents: Contents) -> Any:
        return build(request, contents)[:1]

    def lying(request: Any, contents: Contents) -> Any:
        return [(snix_castore_pb2.Entry(file={"digest": b"short"}), []), (snix_castore_pb2.Entry(), [])]

    for wrong in (one, lying):
        with ExitStack() as stack:
            contents = Contents()
            store = stack.enter_context(castore_daemon(contents))
            address, _ = stack.enter_context(build_daemon(contents, wrong))
            sb = Sandbox(
                ["x"], outputs=["nix/store/a", "nix/store/b"], store=near, builder=address, builder_store=store
            )
            sb.add_input("src", b"x")
            run = sb.run(show=False)
            assert (run.status, run.failed_at) == ("failed", "setup") and "cannot be read" in run.message
