"""Many builds without a host that builds: once each, in order, as completed, cancelled, refused, broken."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.derivations import STORE, golden
from tvixbuild_nb import Sandbox, build_many
from tvixbuild_nb.build import BuildContext, BuildResult, DummyBuild, DummyBuildService, RunRecord
from tvixbuild_nb.castore import Node, open_castore
from tvixbuild_nb.errors import InvalidAddress, InvalidRequest, InvalidValue
from tvixbuild_nb.oci import SpecOptions
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.sandbox.many.text import most_telling, numbers_text


class Builder:
    """A dummy whose builds wait until they are let go, each by the word it was given."""

    def __init__(self) -> None:
        self.castore = open_castore("memory:")
        self.service = DummyBuildService(self.castore, self._script)
        self.gates: dict[str, threading.Event] = {}
        self.done: list[str] = []

    def _script(self, request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
        word = request.command_args[-1]
        build.print(f"this is {word}\n\x1b[2J")
        if word == "broken":
            raise ZeroDivisionError(word)
        while not self.gates.get(word, _OPEN).is_set():
            build.sleep(0.01)
        self.done.append(word)
        return {} if word == "bad" else {"s/o": build.castore.ingest_bytes(word.encode())}


_OPEN = threading.Event()
_OPEN.set()


@pytest.fixture
def builder() -> Builder:
    return Builder()


def asked(*words: str) -> list[BuildRequest]:
    return [BuildRequest(command_args=["sh", word], scratch_paths=["s"], outputs=["s/o"]) for word in words]


@pytest.mark.parametrize("threads", [False, True])
def test_each_build_once_and_results_in_order(builder: Builder, threads: bool) -> None:
    with ThreadPoolExecutor(2) as executor:
        requests = asked("one", "two", "one", "bad")
        many = build_many(
            requests, executor if threads else None, builder=builder.service, store=builder.castore, jobs=2
        )
        assert len(many) == 4 and [result.status for result in many] == ["succeeded"] * 3 + ["failed"]
    assert sorted(builder.done) == ["bad", "one", "two"] and many[0] is many[2] and not many.ok
    assert [result.request_digest for result in many.results] == [request.digest for request in requests]
    assert many.run(1) is many.runs[1] and many[1:3] == [many[1], many[2]]
    assert {record.id for record in RunRecord.all()} == {result.id for result in many}
    rows = many.rows()
    assert [row.numbers for row in rows] == [(0, 2), (1,), (3,)] and rows[0].tail == "this is one"
    assert many.counts() == "2 succeeded, 1 failed; 1 of 4 requests are for the same builds"
    assert "missing outputs: s/o" in str(many) and "\x1b" not in str(many)


def test_no_builds_are_over_at_once(builder: Builder) -> None:
    many = build_many([], builder=builder.service, store=builder.castore)
    assert many.wait().ok and many.results == [] and list(many.as_completed()) == []


def test_they_come_as_completed_and_one_is_cancelled(builder: Builder) -> None:
    builder.gates = {"slow": threading.Event(), "never": threading.Event()}
    requests = asked("slow", "quick", "never", "slow")
    many = build_many(requests, builder=builder.service, store=builder.castore, jobs=3)
    coming = many.as_completed()
    assert next(coming)[0] == 1
    while many.counts().count("waiting"):
        continue
    assert not many.over and many.rows()[0].state == "building"
    with pytest.raises(TimeoutError, match="2 building"):
        many.wait(0.01, show=False)
    many.cancel(2)
    number, result = next(coming)
    assert (number, result.status) == (2, "cancelled")
    builder.gates["slow"].set()
    assert [number for number, _ in coming] == [0, 3] and [number for number, _ in many.as_completed()][:1] == [1]
    many.cancel(str(requests[0].digest))
    assert many[0].ok
    for wrong in (4, "00"):
        with pytest.raises(InvalidValue):
            many.cancel(wrong)


def test_what_waits_is_cancelled_without_being_begun(builder: Builder) -> None:
    builder.gates = {"first": threading.Event()}
    with (
        pytest.raises(KeyError),
        build_many(asked("first", "second", "third"), builder=builder.service, store=builder.castore, jobs=1) as many,
    ):
        raise KeyError
    assert [result.status for result in many] == ["cancelled"] * 3 and builder.done == []
    assert many[2].message == "cancelled before it began" and many.runs[2] is not None


def test_what_waits_and_is_cancelled_is_over_at_once(builder: Builder) -> None:
    builder.gates = {"first": threading.Event()}
    many = build_many(asked("first", *map(str, range(9))), builder=builder.service, store=builder.castore, jobs=1)
    while many.rows()[0].state != "building":
        continue
    many.cancel(3)
    assert many[3].status == "cancelled" and many.counts() == "1 cancelled, 1 building, 8 waiting"
    for number in range(2, 10):
        many.cancel(number)
    assert {result.status for result in many[2:]} == {"cancelled"}
    builder.gates["first"].set()
    assert [result.status for result in many[:2]] == ["succeeded"] * 2 and builder.done == ["first", "0"]


def test_a_digest_names_each_build_of_its_request(builder: Builder) -> None:
    builder.gates = {"one": threading.Event(), "two": threading.Event()}
    one, two = asked("one", "two")
    otherwise = Sandbox.from_request(one, store=builder.castore, options=SpecOptions.tvix())
    many = build_many([one, otherwise, two], builder=builder.service, store=builder.castore, jobs=3)
    assert len(many.rows()) == 3
    many.cancel(one.digest)
    builder.gates["two"].set()
    assert [result.status for result in many] == ["cancelled", "cancelled", "succeeded"]


def test_more_are_built_at_once_when_there_are_more_workers(builder: Builder) -> None:
    class Growing(DummyBuildService):
        concurrency = 1

    builder.gates = {"one": threading.Event(), "two": threading.Event(), "three": threading.Event()}
    service = Growing(builder.castore, builder._script)
    many = build_many(asked("one", "two", "three"), builder=service, store=builder.castore)
    while many.counts() != "1 building, 2 waiting":
        time.sleep(0.01)
    service.concurrency = 3
    while many.counts() != "3 building":
        time.sleep(0.01)
    for gate in builder.gates.values():
        gate.set()
    assert many.wait(show=False).ok


def test_a_derivation_that_is_read_twice_is_built_once(builder: Builder) -> None:
    def store_it(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
        builder.done.append(request.outputs[0])
        return {request.outputs[0]: build.castore.ingest_bytes(b"out")}

    service = DummyBuildService(builder.castore, store_it)
    read = [
        Sandbox.from_derivation(STORE / golden(name), builder=service, store=builder.castore)
        for name in ("simple", "simple", "arguments")
    ]
    many = build_many([*read, read[0].request], builder=service, store=builder.castore, jobs=1)
    assert many.wait(show=False).ok, str(many)
    # The request alone is another build: nobody checks its outputs.
    assert [row.numbers for row in many.rows()] == [(0, 1), (2,), (3,)] and len(builder.done) == 3


def test_the_store_of_a_builder_goes_with_its_address(builder: Builder) -> None:
    for more in ({"builder": builder.service}, {"builder": "oci:"}):
        with pytest.raises(InvalidValue) as caught:
            build_many(asked("x"), store=builder.castore, builder_store="grpc+http://127.0.0.1:1", **more)  # type: ignore[arg-type]
        assert caught.value.path == "builder_store"
    # What a sandbox says of its own builder is not said of another one.
    sb = Sandbox("x", store=builder.castore, builder="grpc+http://127.0.0.1:1", builder_store="grpc+http://127.0.0.1:2")
    assert sb.map(asked("one"), builder=builder.service).wait(show=False).ok


def test_an_executor_that_is_shut_down_cancels_the_rest(builder: Builder) -> None:
    builder.gates = {"first": threading.Event()}
    executor = ThreadPoolExecutor(1)
    many = build_many(asked("first", "second"), executor, builder=builder.service, store=builder.castore)
    while many.rows()[0].state != "building":
        continue
    executor.shutdown(wait=False, cancel_futures=True)
    assert many[1].status == "cancelled"
    builder.gates["first"].set()
    assert many[0].ok


def test_what_nobody_expected_is_raised_by_whoever_asks_for_it(builder: Builder) -> None:
    many = build_many(asked("broken", "one"), builder=builder.service, store=builder.castore)
    many.wait(show=False)
    with pytest.raises(ZeroDivisionError):
        many[0]
    assert many[1].ok and many.rows()[0].state == "failed" and many.rows()[0].message == "ZeroDivisionError: broken"


def test_sandboxes_bring_their_options_and_secrets(builder: Builder) -> None:
    seen: list[BuildContext] = []

    class Noting(DummyBuildService):
        def do_build(self, request: BuildRequest, context: BuildContext) -> BuildResult:
            seen.append(context)
            return super().do_build(request, context)

    options = SpecOptions.tvix()
    sb = Sandbox(["sh", "hunter-two"], outputs=["nix/store/o"], store=builder.castore, options=options)
    sb.env["TOKEN"], sb.secrets = "hunter-two", ("TOKEN",)
    plain = Sandbox(["sh", "hunter-two"], outputs=["nix/store/o"], store=builder.castore, env={"TOKEN": "hunter-two"})
    service = Noting(builder.castore, builder._script)
    many = build_many([sb, plain, sb.request], builder=service, store=builder.castore, timeout=7, jobs=1)
    many.wait(show=False)
    # The same request to be rendered in another way is another build.
    assert [row.numbers for row in many.rows()] == [(0,), (1, 2)]
    assert [context.policy.options for context in seen] == [options, None]
    assert {context.policy.timeout for context in seen} == {7}
    row = many.rows()[0]
    assert "hunter" not in row.tail + row.command and many.runs[0] is not None and many.runs[0].redactor


def test_what_is_refused_before_anything_starts(builder: Builder) -> None:
    elsewhere = Sandbox("true", store=open_castore("memory:"))
    elsewhere.add_input("x", b"1")
    there = Sandbox("true", store="file:/nowhere")
    for wrong in ([elsewhere, "text"], [object()]):
        with pytest.raises(InvalidValue) as caught:
            build_many(wrong, builder=builder.service, store=builder.castore)  # type: ignore[arg-type]
        assert caught.value.index == len(wrong) - 1
    assert there.inputs == {}
    no_request = Sandbox("true", outputs=["../x"], store=builder.castore)
    with pytest.raises(InvalidRequest) as refused:
        build_many([Sandbox("true", store=builder.castore), no_request], builder=builder.service, store=builder.castore)
    assert refused.value.path == "requests[1].outputs" and refused.value.index == 0
    with pytest.raises(InvalidAddress, match="dummy"):
        build_many(asked("x"), _Elsewhere(), builder=builder.service, store=builder.castore)
    with pytest.raises(InvalidValue, match=r"no submit\(\)"):
        build_many(asked("x"), object(), store=builder.castore)
    assert RunRecord.all() == []


class _Elsewhere:
    def submit(self, *work: object) -> None:
        raise AssertionError("nothing is to be started")


def test_rows_that_matter_stay_when_there_is_no_room(builder: Builder) -> None:
    many = build_many(asked("one", "two", "bad", "three"), builder=builder.service, store=builder.castore)
    rows = many.wait(show=False).rows()
    assert [row.numbers for row in most_telling(rows, 2)] == [(0,), (2,)] and most_telling(rows, 9) == list(rows)
    same = build_many(asked(*["one"] * 5), builder=builder.service, store=builder.castore).wait(show=False)
    assert numbers_text(same.rows()[0]) == "0, 1, 2 and 2 more"


def test_lines_for_who_has_no_terminal(builder: Builder, capsys: pytest.CaptureFixture[str]) -> None:
    build_many(asked("one", "bad"), builder=builder.service, store=builder.castore).wait()
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and told[0].startswith("0  succeeded") and "missing outputs" in told[1]
