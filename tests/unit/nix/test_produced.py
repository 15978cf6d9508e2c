"""What Nix would register of a build's outputs: references from needles, NAR hashes, a narinfo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from support.cli import request_of
from tvixbuild_nb.build import BuildContext, BuildOutput, DummyBuild, DummyBuildService, RunRecord
from tvixbuild_nb.castore import Node, SymlinkNode
from tvixbuild_nb.errors import InvalidStorePath, InvalidValue
from tvixbuild_nb.nix.nar import sum_of_path
from tvixbuild_nb.nix.narinfo import parse_narinfo
from tvixbuild_nb.nix.produced import references_of
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.sandbox import Run

A, B, C = (digit * 32 + f"-{name}" for digit, name in (("a", "out"), ("b", "dep"), ("c", "unused")))


def _built(contents: Mapping[str, bytes]) -> Run:
    def script(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
        return {path: build.castore.ingest_bytes(data) for path, data in contents.items()}

    return _run(DummyBuildService(script=script), sorted(contents))


def _run(service: DummyBuildService, outputs: Sequence[str]) -> Run:
    return Run.begin(service, request_of("x", outputs=outputs), BuildContext(RunRecord.create())).wait()


def test_references_are_the_store_paths_of_found_needles() -> None:
    link = SymlinkNode(b"x")
    needles = [A[:32], B[:32], C[:32], "src", "d" * 32]
    request = request_of(
        "x", outputs=[f"nix/store/{A}"], inputs={B: link, C: link, "src": link}, refscan_needles=needles
    )

    def found(*indices: int) -> list[str]:
        return [str(path) for path in references_of(request, BuildOutput(path="x", node=link, needles=indices))]

    assert found() == [] and found(0, 1) == [A, B] and found(2) == [C]
    # An input that is no store path, and a needle of nobody's.
    assert found(3, 4) == []


def test_hashes_and_narinfo_of_a_run(tmp_path: Path) -> None:
    run = _built({f"nix/store/{A}": b"hello\n", "build/plain": b"x"})
    (tmp_path / "file").write_bytes(b"hello\n")
    total = sum_of_path(tmp_path / "file")
    path = f"nix/store/{A}"
    assert (run.nar_hash[path], run.nar_size[path]) == (total.hash, total.size)
    assert run.references == {path: (), "build/plain": ()}
    assert set(run.nar_hash) == set(run.nar_size) == set(run.outputs)
    info = run.narinfo(path)
    assert parse_narinfo(str(info)) == info and info.info.nar_hash == total.hash and info.file_size == total.size
    with pytest.raises(InvalidValue, match="which output") as raised:
        run.narinfo()
    assert "build/plain" in str(raised.value.hint)
    with pytest.raises(InvalidValue, match="no output 'x'"):
        run.narinfo("x")
    with pytest.raises(InvalidStorePath):
        run.narinfo("build/plain")


def test_one_output_need_not_be_named() -> None:
    run = _built({f"nix/store/{A}": b"hello\n"})
    assert str(run.narinfo().info.path) == A


def test_without_outputs_there_is_nothing_to_hash() -> None:
    run = _run(DummyBuildService(), [f"nix/store/{A}"])
    assert not run.ok
    assert run.references == run.nar_hash == run.nar_size == {}
    with pytest.raises(InvalidValue) as raised:
        run.narinfo()
    assert "succeeded" in str(raised.value.hint)
