"""The runs of a sandbox in order: when, what changed, how each ended."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from tvixbuild_nb import Sandbox, open_castore, runs
from tvixbuild_nb.build import DummyBuild, DummyBuildService
from tvixbuild_nb.castore import Node
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.sandbox import RunHistory


def script(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
    if b"fail" in request.environment_vars.values():
        return {}
    return {path: build.castore.ingest_bytes(b"out") for path in request.outputs}


def sandbox(**fields: object) -> Sandbox:
    castore = open_castore("memory:")
    builder = DummyBuildService(castore, script)
    return Sandbox("true", **{"outputs": ["nix/store/x"], "store": castore, "builder": builder} | fields)


def test_each_run_says_what_changed_and_how_it_ended() -> None:
    sb = sandbox()
    history = sb.history()
    assert len(history) == 0 and history.rows() == ()
    first = sb.run(show=False)
    sb.env["MODE"] = "fail"
    second = sb.run(show=False)
    third = sb.run(show=False)
    assert list(history) == [first, second, third] and history[-1] is sb.last_run
    assert history.find(second.id) is second and history.find("x") is None
    rows = history.rows()
    assert [(row.status, row.failed_at) for row in rows] == [
        ("succeeded", None),
        ("failed", "output"),
        ("failed", "output"),
    ]
    assert rows[0].changes is None and rows[2].changes == ()
    assert [str(change) for change in rows[1].changes or ()] == ["environment_vars[MODE]: + fail"]
    assert rows[0].digest == first.request.digest and rows[0].seconds is not None and rows[0].started is not None
    assert rows[1].message and history.rows(1) == rows[2:]
    assert "failed at output" in repr(history) and "environment_vars[MODE]: + fail" in str(history)
    copied = copy.copy(sb)
    copied.run(show=False)
    assert (len(copied.history()), len(history)) == (4, 3)


def test_deleted_and_damaged_records_stay_in_the_list_without_a_word_of_their_request() -> None:
    sb = sandbox(env={"TOKEN": "hunter2-hunter2"}, secrets=["TOKEN"])
    deleted, damaged, last = sb.run(show=False), sb.run(show=False), sb.run(show=False)
    assert deleted.request  # read, and so known after its record is gone
    deleted.delete()
    (damaged.record.path / "request.json").write_text("{")
    rows = RunHistory(lambda: [type(last)(run.record) for run in (deleted, damaged, last)], "t").rows()
    assert [row.status for row in rows] == ["deleted", "damaged", "succeeded"]
    assert rows[2].changes is None and rows[0].started is not None
    assert [row.status for row in sb.history().rows()][0] == "deleted"
    assert "hunter2" not in str(sb.history())


def test_secrets_are_in_no_row() -> None:
    sb = sandbox(env={"TOKEN": "hunter2-hunter2"}, secrets=["TOKEN"])
    sb.run(show=False)
    sb.env["TOKEN"] = "another-secret"
    sb.command = ("echo", "hunter2-hunter2", "another-secret")
    sb.run(show=False)
    text = str(sb.history()) + repr(sb.history().rows())
    assert "hunter2" not in text and "another-secret" not in text and "[secret TOKEN] -> [secret TOKEN]" in text


def test_all_recorded_runs_are_compared_with_the_last_of_the_same_outputs() -> None:
    one, other = sandbox(), sandbox(outputs=["nix/store/y"])
    one.run(show=False)
    other.run(show=False)
    one.env["A"] = "b"
    one.run(show=False)
    found = {row.id: row for row in runs().rows()}
    assert one.last_run is not None and other.last_run is not None
    assert found[other.last_run.id].changes is None
    assert [str(change) for change in found[one.last_run.id].changes or ()] == ["environment_vars[A]: + b"]
