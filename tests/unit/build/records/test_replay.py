"""replay: a request gets what was recorded of it, the right one of several, and says so; else it says what to do."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from support.records import fails, ran, rewritten, said
from tvixbuild_nb import Run, Sandbox, build_service_from_addr, open_castore
from tvixbuild_nb.build import BuildContext, BuildPolicy, DummyBuild, DummyBuildService, ReplayBuildService, RunRecord
from tvixbuild_nb.castore import Node
from tvixbuild_nb.errors import InvalidAddress, InvalidRecord, NotRecorded, OutputError
from tvixbuild_nb.oci import SpecOptions
from tvixbuild_nb.request import BuildRequest


class Counting:
    """A build that makes something else each time."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
        self.count += 1
        build.print(f"run {self.count}\n")
        return {path: build.castore.ingest_bytes(f"{self.count}".encode()) for path in request.outputs}


def _sandbox(**fields: Any) -> Sandbox:
    return Sandbox(**{"command": "true", "outputs": ["nix/store/x"], "system": "x86_64-linux", **fields})


def _recorded(directory: Path, *sandboxes: Sandbox, script: Any = said, **policy: Any) -> list[Run]:
    castore = open_castore("memory:")
    service = DummyBuildService(castore, script)
    runs = []
    for number, sandbox in enumerate(sandboxes):
        sandbox.store, sandbox.builder = castore, service
        run = sandbox.start(**policy).wait()
        directory.mkdir(exist_ok=True)
        run.save(directory / f"{len(os.listdir(directory))}-{number}.tvixrun", outputs=True)
        runs.append(run)
    return runs


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    return tmp_path / "records"


def _replaying(shelf: Path, **fields: Any) -> Sandbox:
    return _sandbox(store=open_castore("memory:"), builder=f"replay:{shelf}", **fields)


def test_a_request_gets_its_record_and_the_run_says_so(shelf: Path) -> None:
    [before] = _recorded(shelf, _sandbox())
    run = _replaying(shelf).run(show=False)
    assert run.ok and run.id != before.id and run.record.path.parent == before.record.path.parent
    assert run.recorded is not None and str(run.recorded) in str(run) and str(run.recorded) in repr(run)
    assert run.log.bytes() == before.log.bytes() and run.timings == before.timings
    assert [event.time for event in run.events] == [event.time for event in before.events]
    assert (run.outputs["nix/store/x"] / "inner" / "file").read_bytes() == b"contents\n" * 1000
    assert Run.open(run.id).recorded == run.recorded
    assert run.result is not None and before.result is not None
    assert (run.result.started, run.result.finished) == (before.result.started, before.result.finished)


def test_a_failed_run_explains_itself_as_it_did(shelf: Path) -> None:
    [before] = _recorded(shelf, _sandbox(), script=fails)
    run = _replaying(shelf).run(show=False)
    assert run.failed_at == before.failed_at and str(run.explain()) == str(before.explain())


def test_a_request_without_a_record(shelf: Path) -> None:
    _recorded(shelf, _sandbox())
    before = len(RunRecord.all())
    sandbox = _replaying(shelf, command="false")
    with pytest.raises(NotRecorded) as refused:
        sandbox.run(show=False)
    text = str(refused.value)
    assert str(sandbox.request.digest) in text and str(shelf) in text and ".save(" in text
    assert len(RunRecord.all()) == before


def test_several_records_of_a_request_are_served_in_their_order_again_and_again(shelf: Path) -> None:
    _recorded(shelf, *[_sandbox()] * 3, script=Counting())
    sandbox = _replaying(shelf)
    logs = [sandbox.run(show=False).log.text() for _ in range(4)]
    assert logs == ["run 1\n", "run 2\n", "run 3\n", "run 1\n"]
    checked = _replaying(shelf).check(3, vary=[])
    assert not checked and checked.causes


def test_the_options_and_the_policy_choose(shelf: Path) -> None:
    named = SpecOptions.tvix().replace(hostname="other")
    count = Counting()
    _recorded(shelf, _sandbox(), _sandbox(options=named), script=count)
    _recorded(shelf, _sandbox(), script=count, observe=True)
    assert _replaying(shelf).run(show=False).log.text() == "run 1\n"
    assert _replaying(shelf, options=named).run(show=False).log.text() == "run 2\n"
    assert _replaying(shelf).run(show=False, observe=True).log.text() == "run 3\n"
    assert _replaying(shelf).run(show=False).degraded == ()


def test_other_options_than_those_recorded_are_told(shelf: Path) -> None:
    _recorded(shelf, _sandbox(options=SpecOptions.tvix().replace(hostname="other")))
    run = _replaying(shelf).run(show=False)
    assert run.ok and any("hostname other" in text for text in run.degraded) and "hostname other" in str(run)


def test_options_that_only_the_host_decides_are_no_others(shelf: Path) -> None:
    _recorded(shelf, _sandbox(options=SpecOptions(hostname="h")))
    wanted = SpecOptions(hostname="h").replace(cgroups_path="/elsewhere", etc_files=True)
    assert not any("options" in text for text in _replaying(shelf, options=wanted).run(show=False).degraded)


def test_damaged_files_are_told_once_and_harm_no_others(shelf: Path) -> None:
    _recorded(shelf, _sandbox(), _sandbox(command="other"))
    (shelf / "a.tvixrun").write_bytes(b"nonsense")
    (shelf / "directory.tvixrun").mkdir()
    os.mkfifo(shelf / "fifo.tvixrun")
    (shelf / "link.tvixrun").symlink_to("nowhere")
    (shelf / "readme.txt").write_text("no record")
    sandbox = _replaying(shelf)
    with pytest.warns(UserWarning, match="a.tvixrun") as heard:
        assert sandbox.run(show=False).ok
    assert len(heard) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sandbox.run(show=False).ok


def test_one_that_turns_out_to_be_damaged_gives_way_to_the_next(shelf: Path, tmp_path: Path) -> None:
    _recorded(shelf, *[_sandbox()] * 2, script=Counting())
    first = sorted(shelf.iterdir())[0]
    first.rename(tmp_path / "whole.tvixrun")
    rewritten(tmp_path / "whole.tvixrun", lambda m: m.__setitem__("log", b"fun 1\n"), first, honest=False)
    run = _replaying(shelf).run(show=False)
    assert run.log.text() == "run 2\n" and any(first.name in text for text in run.degraded)
    sorted(shelf.iterdir())[1].unlink()
    with pytest.raises(InvalidRecord):
        _replaying(shelf).run(show=False)


def test_contents_that_were_not_saved_are_told(shelf: Path) -> None:
    shelf.mkdir()
    run = ran()
    run.save(shelf / "x.tvixrun")
    castore = open_castore("memory:")
    again = Sandbox.from_request(run.request, store=castore, builder=ReplayBuildService(shelf, castore))
    assert any("not saved" in text for text in again.run(show=False).degraded)


def test_who_checks_outputs_checks_recorded_ones(shelf: Path) -> None:
    [before] = _recorded(shelf, _sandbox())

    def refuse(request: BuildRequest, outputs: object) -> None:
        raise OutputError("not this one")

    service = ReplayBuildService(shelf, open_castore("memory:"))
    result = service.do_build(before.request, BuildContext(RunRecord.create(), check=refuse))
    assert (result.status, result.failed_at, result.message) == ("failed", "output", "not this one")
    assert result.outputs == () and len(result.rejected) == 1


def test_files_that_come_are_found(shelf: Path) -> None:
    _recorded(shelf, _sandbox())
    sandbox = _replaying(shelf, command="later")
    with pytest.raises(NotRecorded):
        sandbox.run(show=False)
    _recorded(shelf, _sandbox(command="later"))
    assert sandbox.run(show=False).ok


def test_nothing_can_be_entered(shelf: Path) -> None:
    [before] = _recorded(shelf, _sandbox())
    service = ReplayBuildService(shelf, open_castore("memory:"))
    context = BuildContext(RunRecord.create(), BuildPolicy(), hold="created")
    with pytest.raises(NotRecorded, match="entered"):
        service.do_build(before.request, context)


def test_the_address(shelf: Path) -> None:
    service = build_service_from_addr(f"replay:{shelf}", open_castore("memory:"))
    assert service.address == f"replay:{shelf}"
    with pytest.raises(InvalidAddress, match="absolute"):
        build_service_from_addr("replay:records")
    with pytest.raises(InvalidAddress, match="known: .*replay:"):
        build_service_from_addr("nonsense:")
