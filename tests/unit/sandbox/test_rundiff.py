"""run.diff and tvixbuild-nb diff: every part that differs, secrets of both left out, the exit status of diff."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.cli import Command, request_of
from tvixbuild_nb.build import BuildContext, DummyBuild, DummyBuildService, RunRecord
from tvixbuild_nb.castore import Directory, DirectoryNode, Node, SymlinkNode, open_castore
from tvixbuild_nb.errors import InvalidValue
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.sandbox import Run, Sandbox


@pytest.fixture
def command(capfdbinary: pytest.CaptureFixture[bytes]) -> Command:
    return Command(capfdbinary)


def _run(store: Path, contents: bytes, secrets: tuple[str, ...] = (), **changes: Any) -> Run:
    with open_castore(store) as castore:
        file = castore.ingest_bytes(contents)
        link = SymlinkNode(b"/to/" + contents.strip())
        directory = Directory({b"file": file, b"link": link, b"same": castore.ingest_bytes(b"same")})
        node = DirectoryNode(castore.directories.put(directory), directory.size)
        record = RunRecord.create()
        record.write_secrets(secrets)

        def script(_: BuildRequest, build: DummyBuild) -> dict[str, Node]:
            build.print(b"begin\n" + contents)
            return {"nix/store/out": node}

        DummyBuildService(castore, script).do_build(request_of("true", **changes), BuildContext(record))
    return Run.open(record.id)


def test_every_part_is_told(tmp_path: Path, command: Command) -> None:
    store = tmp_path / "store"
    one = _run(
        tmp_path / "store", b"token hunter2-one\n", ("TOKEN",), environment_vars={"TOKEN": "hunter2-one", "A": "1"}
    )
    two = _run(
        tmp_path / "store", b"token hunter2-two\n", ("TOKEN",), environment_vars={"TOKEN": "hunter2-two", "A": "2"}
    )
    diff = one.diff(two)
    assert diff and "hunter2" not in str(diff)
    assert "environment_vars[A]: 1 -> 2" in str(diff) and "~ file" in str(diff)
    assert diff._repr_mimebundle_()["text/plain"] == str(diff)
    assert command.json("diff", one.id, two.id, "--store", store, status=1) == diff.to_dict()
    assert "link" in str(diff.to_dict()["outputs"]) and "hunter2" not in str(diff.to_dict())
    assert "hunter2" not in command("diff", one.id, two.id, "--store", store, status=1)


def test_the_same_again_is_no_difference(tmp_path: Path, command: Command) -> None:
    one, two = _run(tmp_path / "store", b"x"), _run(tmp_path / "store", b"x")
    assert not one.diff(two) and str(one.diff(two)).endswith("no difference")
    assert "no difference" in command("diff", one.id, two.id, "--store", tmp_path / "store")


def test_requests_trees_and_derivations_by_command(tmp_path: Path, command: Command) -> None:
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    requests = [request_of("true"), request_of("true", working_dir="build/x")]
    for file, request in zip(files, requests, strict=True):
        file.write_text(request.to_json())
    assert command("diff", *files, status=1) == "working_dir: /build -> /build/x\n"
    assert command.json("diff", files[0], files[0]) == []
    assert [str(change) for change in requests[0].diff(requests[1])] == ["working_dir: /build -> /build/x"]

    store = tmp_path / "store"
    with open_castore(store) as castore:
        digests = [str(castore.ingest_bytes(data).digest) for data in (b"one\n", b"two\n")]
    assert "-one" in command("diff", *digests, "--store", store, status=1)
    assert command("diff", digests[0], digests[0], "--store", store) == "no difference\n"

    command("diff", files[0], digests[0], "--store", store, status=2)
    assert "not compared" in command.err
    command("diff", "nothing", files[0], "--store", store, status=2)
    assert "neither" in command.err


def test_specs_are_compared_the_smallest_difference_first() -> None:
    one = Sandbox(["true"], env={"A": "1", "TOKEN": "hunter2"}, secrets=["TOKEN"])
    two = Sandbox(["true"], env={"A": "2", "TOKEN": "hunter3"}, secrets=["TOKEN"], working_dir="build/x")
    found = one.spec.diff(two.spec)
    assert [row.where for row in found][0] == "process.env[A]" and "hunter" not in str(found)
    assert not one.spec.diff(one.spec)


def test_a_run_that_goes_on_is_refused(tmp_path: Path) -> None:
    record = RunRecord.create()
    record.write_request(request_of("true"))
    with record.held(), pytest.raises(InvalidValue, match="goes on"):
        _run(tmp_path / "store", b"x").diff(Run.open(record.id))
