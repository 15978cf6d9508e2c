"""Run over the dummy service: waiting, awaiting, cancelling, events, logs, outputs, records."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tvixbuild_nb import Run, Sandbox, open_castore
from tvixbuild_nb.build import (
    BuildContext,
    BuildOutput,
    BuildResult,
    DummyBuild,
    DummyBuildService,
    EndEvent,
    LogEvent,
    StageEvent,
)
from tvixbuild_nb.castore import Node
from tvixbuild_nb.errors import BuildFailed, OutputError, RunNotFound
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.sandbox.printer import HEAD, LogPrinter, harmless


def _prints(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
    build.print("one\n")
    build.print("two\nthr", "stderr")
    build.print("ee\n", "stderr")
    build.print(b"\xe2\x82", "stdout")
    build.print(b"\xac last", "stdout")
    return {path: build.castore.ingest_bytes(b"out") for path in request.outputs}


def _sleeps(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
    build.print("asleep\n")
    build.sleep(60)
    return {}


def _fails(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
    build.print("it went wrong\n")
    return {}


def _sandbox(script: Any, **fields: Any) -> Sandbox:
    castore = open_castore("memory:")
    builder = DummyBuildService(castore, script)
    return Sandbox("true", outputs=["nix/store/x"], store=castore, builder=builder, **fields)


def test_a_run_that_succeeds() -> None:
    sandbox = _sandbox(_prints)
    run = sandbox.run(show=False)
    assert run.ok and run.status == "succeeded" and run.failed_at is None and run.exit_code == 0
    assert run.outputs["nix/store/x"].read_bytes() == b"out"
    assert run.outputs["nix/store/x"].name == "x"
    assert run.raise_for_status() is run and not run.running and sandbox.last_run is run
    assert run.request == sandbox.request
    assert "succeeded" in repr(run)


def test_the_log_as_text_lines_tail_and_search() -> None:
    log = _sandbox(_prints).run(show=False).log
    assert log.text() == "one\ntwo\nthree\n€ last"
    assert log.text("stderr") == "two\nthree\n"
    assert [(line.number, line.stream, line.text) for line in log.lines()] == [
        (1, "stdout", "one"),
        (2, "stderr", "two"),
        (3, "stderr", "three"),
        (4, "stdout", "€ last"),
    ]
    assert [line.text for line in log.tail(2)] == ["three", "€ last"]
    assert [line.number for line in log.search("THREE", ignore_case=True)] == [3]
    assert log.search("t.o") == []
    assert log.size == len(log.bytes())


def test_events_come_in_order_and_end_with_the_end() -> None:
    run = _sandbox(_prints).start()
    events = list(run.events)
    assert isinstance(events[-1], EndEvent) and events[-1].status == "succeeded"
    assert [event.stage for event in events if isinstance(event, StageEvent)] == ["run", "run"]
    assert b"".join(event.data for event in events if isinstance(event, LogEvent)) == run.log.bytes()
    assert list(run.events) == events


def test_a_failure_is_a_run_and_with_check_an_error_that_holds_it() -> None:
    run = _sandbox(_fails).run(show=False)
    assert (run.ok, run.status, run.failed_at) == (False, "failed", "output")
    assert not run.outputs
    with pytest.raises(KeyError, match="failed at output"):
        run.outputs["nix/store/x"]
    assert "failed at output" in str(run)
    with pytest.raises(BuildFailed, match="it went wrong") as caught:
        run.raise_for_status()
    assert caught.value.run is run
    with pytest.raises(BuildFailed):
        _sandbox(_fails).run(show=False, check=True)
    with pytest.raises(BuildFailed):
        _sandbox(_fails).start(check=True).wait()


def test_cancel_wait_and_time_outs_of_waiting() -> None:
    run = _sandbox(_sleeps).start()
    assert run.running and run.status == "running" and run.result is None and run.timings == {}
    with pytest.raises(TimeoutError):
        run.wait(0.05)
    run.cancel()
    run.cancel()
    assert run.wait(10).status == "cancelled"
    run.cancel()


def test_await_returns_the_run_and_cancelling_the_task_cancels_the_build() -> None:
    async def both() -> tuple[Run, Run]:
        done = await _sandbox(_prints).start()
        running = _sandbox(_sleeps).start()
        task = asyncio.ensure_future(_wait(running))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return done, running

    async def _wait(run: Run) -> Run:
        return await run

    done, running = asyncio.run(both())
    assert done.ok
    assert running.wait(10).status == "cancelled"


def test_two_readers_see_the_same_events_while_the_build_goes_on() -> None:
    go = threading.Event()

    def script(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
        build.print("before\n")
        go.wait(10)
        build.print("after\n")
        return {path: build.castore.ingest_bytes(b"") for path in request.outputs}

    run = _sandbox(script).start()
    seen: list[list[Any]] = [[], []]
    threads = [threading.Thread(target=lambda found=found: found.extend(run.events)) for found in seen]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while not run.log.size and time.monotonic() < deadline:
        time.sleep(0.01)
    assert run.log.text() == "before\n"
    go.set()
    for thread in threads:
        thread.join(10)
    assert seen[0] == seen[1] and isinstance(seen[0][-1], EndEvent)


def test_a_run_is_opened_again_and_deleted() -> None:
    run = _sandbox(_prints).run(show=False)
    again = Run.open(run.id)
    assert again.result == run.result and again.log.text() == run.log.text()
    assert again.wait().ok and again.accesses is None and again.inside is None and again.bundle is None
    again.delete()
    with pytest.raises(RunNotFound):
        Run.open(run.id)


def test_what_a_build_prints_cannot_play_with_the_terminal() -> None:
    hostile = "\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b[2J\x1b[1;1Hmoved\x08\x9b2J\u202eevil\x1bc\ttab\r\n<b>"
    assert harmless(hostile) == "\x1b[31mred\x1b[0m moved2Jevil\ttab\r\n<b>"


def test_a_long_log_is_shown_in_part_and_says_so() -> None:
    def script(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
        for index in range(40):
            build.print(f"{index:07}\n" * 8192)
        build.print("the end\n")
        return {path: build.castore.ingest_bytes(b"") for path in request.outputs}

    run = _sandbox(script).run(show=False)
    output = io.StringIO()
    LogPrinter(run.record, output).finish()
    shown = output.getvalue()
    assert len(shown) < HEAD + 20_000
    assert "bytes not shown here" in shown and shown.endswith("the end\n")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("terminal", [True, False])
def test_colours_pass_to_terminals_alone(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)

    def script(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
        build.print(b"\x1b[31mred\x1b[0m \x1b[2Jplain\n")
        return {path: build.castore.ingest_bytes(b"out") for path in request.outputs}

    run = _sandbox(script).run(show=False)
    output = _Terminal() if terminal else io.StringIO()
    LogPrinter(run.record, output).finish()
    assert output.getvalue() == ("\x1b[31mred\x1b[0m plain\n" if terminal else "red plain\n")
    monkeypatch.setenv("NO_COLOR", "1")
    output = _Terminal()
    LogPrinter(run.record, output).finish()
    assert output.getvalue() == "red plain\n"


class _Refusing(DummyBuildService):
    def do_build(self, request: BuildRequest, context: BuildContext) -> BuildResult:
        context.check = self._refuse
        return super().do_build(request, context)

    @staticmethod
    def _refuse(request: BuildRequest, outputs: Sequence[BuildOutput]) -> None:
        raise OutputError("it is not wanted")


def test_refused_outputs_are_walked_through_and_hide_secrets() -> None:
    castore = open_castore("memory:")
    secret = "hunter2-hunter2"
    builder = _Refusing(castore, lambda request, build: {"nix/store/x": build.castore.ingest_bytes(b"made")})
    sandbox = Sandbox("make", outputs=["nix/store/x"], env={"T": secret}, secrets=["T"], store=castore, builder=builder)
    run = sandbox.run(show=False)
    assert (run.status, run.failed_at, run.message) == ("failed", "output", "it is not wanted")
    assert not run.outputs and run.rejected["nix/store/x"].read_bytes() == b"made"
    assert secret not in repr(run.rejected["nix/store/x"] / secret)
    with pytest.raises(KeyError, match=r"no rejected output 'y': it has nix/store/x; run .* failed at output"):
        run.rejected["y"]
    # A record of before outputs were checked has nothing about it.
    path = run.record.path / "result.json"
    path.write_text(
        json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != "rejected"})
    )
    assert dict(Run.open(run.id).rejected) == {}
