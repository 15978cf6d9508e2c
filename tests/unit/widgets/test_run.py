"""A run's view: data from events and result, static and text form, the widget without a server."""

from __future__ import annotations

import html
import inspect
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tvixbuild_nb import Run, Sandbox, open_castore
from tvixbuild_nb.build import BuildResult, DummyBuild, DummyBuildService, EndEvent, StageEvent, Usage, UsageSample
from tvixbuild_nb.build.result import BuildOutput
from tvixbuild_nb.castore import Digest, Node, SymlinkNode
from tvixbuild_nb.castore.progress import Shown
from tvixbuild_nb.debug import Evidence, Explanation, Finding
from tvixbuild_nb.request import BuildRequest, Redactor
from tvixbuild_nb.widgets.kit import fragment, tag
from tvixbuild_nb.widgets.kit.forms import plain_text
from tvixbuild_nb.widgets.run import RunForms, run_bundle
from tvixbuild_nb.widgets.run.data import STAGES, RunFacts, run_data
from tvixbuild_nb.widgets.run.facts import run_facts
from tvixbuild_nb.widgets.run.static import run_html
from tvixbuild_nb.widgets.run.text import run_text
from tvixbuild_nb.widgets.run.use import NOBODY, use_data, use_words
from tvixbuild_nb.widgets.run.words import exit_words, seconds_words

SECRET = "hunter2-hunter2"
SAMPLE = UsageSample(
    time=101.0, source="cgroup", cpu=1.5, load=0.75, memory=2_000_000, peak_memory=3_000_000, oom_kills=0, pids=4
)
HOSTILE = "<img src=x onerror=alert(1)>\x1b[2J\u202e"


def result(**fields: Any) -> BuildResult:
    base: dict[str, Any] = {
        "id": "r", "request_digest": Digest.from_hex("ab" * 32), "service": "oci:", "status": "succeeded", "store": "s",
        "started": 100.0, "finished": 101.5, "timings": {"run": 1.25}, "usage": Usage(wall=1.2, source="cgroup"),
    }  # fmt: skip
    return BuildResult(**{**base, **fields})


def facts(**fields: Any) -> RunFacts:
    events = (
        StageEvent(time=100.0, stage="request", state="started"),
        StageEvent(time=100.1, stage="request", state="finished"),
        StageEvent(time=100.5, stage="run", state="started"),
    )
    base: dict[str, Any] = {
        "id": "r", "command": ("echo", SECRET), "now": 102.0, "events": events, "result": None, "needles": ("n0", "n1"),
        "redactor": Redactor({"TOKEN": SECRET}), "is_ours": True, "cancelling": False,
    }  # fmt: skip
    return RunFacts(**{**base, **fields})


def states(data: dict[str, Any]) -> dict[str, str]:
    return {stage["name"]: stage["state"] for stage in data["stages"]}


def test_a_run_that_goes_on() -> None:
    data = run_data(facts())
    assert data["running"] and data["elapsed"] == 2.0 and data["end"] is None
    assert [stage["name"] for stage in data["stages"]] == list(STAGES)
    assert states(data) | {"request": "done", "run": "active", "ingest": "waiting"} == states(data)
    assert [stage["took"] for stage in data["stages"] if stage["took"]] == ["100 ms", "1.50 s"]
    assert data["cancel"] == {"can": True, "why": None} and data["command"] == "echo [secret TOKEN]"
    assert run_data(facts(cancelling=True))["cancel"] == {"can": False, "why": "being cancelled"}
    assert "another process" in run_data(facts(is_ours=False))["cancel"]["why"]
    storing = (*facts().events, StageEvent(time=101.0, stage="ingest", state="started"))
    assert "is stored" in run_data(facts(cancelling=True, events=storing))["cancel"]["why"]


def test_a_form_that_does_not_move_says_when_it_was_drawn() -> None:
    data = run_data(facts(sample=SAMPLE))
    for text in (run_html(data, fragment("log")), plain_text(run_text(data, "log"), 300)):
        text = html.unescape(re.sub("<[^>]*>", "", text))
        assert "was running on 1970-01-01 00:01:42 UTC" in text and "Run.open('r')" in text
        assert "CPU 1.50 s (75 % of one now), memory 2.0 MB (at most 3.0 MB), processes 4 (its cgroup" in text


def test_what_it_uses_while_it_goes_on() -> None:
    use = run_data(facts(sample=SAMPLE))["use"]
    assert list(use["figures"]) == ["CPU", "memory", "processes"] and "file caches" in use["source"]
    bare = UsageSample(time=1.0, source="processes", oom_kills=2)
    assert use_data(bare, 1.0) == {
        "figures": {"ended for lack of memory": "2"},
        "source": "the sum over its processes: there is no cgroup; memory they share counts for each",
    }
    assert use_data(None, 1.0) is None and use_data(None, None) is None
    assert use_data(None, 60.0) == {"figures": {}, "source": NOBODY}
    assert run_data(facts(result=result(), sample=SAMPLE))["use"] is None, "then there is the usage as a whole"


def test_what_was_sent_of_its_inputs_before_it_begins() -> None:
    bringing = Shown("upload to grpc+http://builder")
    bringing.advance(3, 2_000_000)
    use = run_data(facts(bringing=bringing))["use"]
    assert use["figures"]["inputs sent"].startswith("3 files, 2.0 MB,") and use["source"] == bringing.title
    assert "3 files, 2.0 MB" in use_words(use)


def test_a_failure_says_whose_fault_it_was_and_hides_secrets() -> None:
    failed = result(
        status="failed", failed_at="build", exit_code=137, message=f"it said {SECRET}{HOSTILE}", hint=f"not {SECRET}",
        degraded=("cgroups: none",), written=tuple(f"p{n}" for n in range(60)),
    )  # fmt: skip
    events = (*facts().events, StageEvent(time=101.0, stage="run", state="failed", detail=SECRET))
    data = run_data(facts(result=failed, events=events))
    end = data["end"]
    assert end["headline"] == "failed at build" and "by itself" in end["fault"] and "SIGKILL" in end["exit"]
    assert end["degraded"] == ["cgroups: none"] and end["written_more"] == 10
    assert states(data)["run"] == "failed" and states(data)["ingest"] == "skipped"
    assert SECRET not in repr(data) and "\x1b" not in repr(data) and "\u202e" not in repr(data)
    assert data["cancel"] == {"can": False, "why": None}


def test_a_run_whose_process_died_stopped_where_it_was() -> None:
    data = run_data(facts(result=result(status="cancelled", timings={}, started=100.0, finished=100.0)))
    assert states(data)["run"] == "stopped" and data["status"] == "cancelled"


def test_what_somebody_cancelled_is_not_shown_as_failed() -> None:
    events = [
        StageEvent(time=100.0, stage="run", state="started"),
        StageEvent(time=101.0, stage="run", state="failed", detail="Terminated"),
    ]
    for status, shown in (("cancelled", "stopped"), ("timed-out", "failed")):
        ended = result(status=status, timings={}, started=100.0, finished=101.0)
        assert states(run_data(facts(events=events, result=ended)))["run"] == shown


def test_rejected_outputs_are_shown_as_such() -> None:
    refused = BuildOutput(path="nix/store/x", node=SymlinkNode(b"/y"))
    ended = result(status="failed", failed_at="output", rejected=(refused,))
    data = run_data(facts(result=ended, events=()))
    assert [output["path"] for output in data["end"]["outputs"]] == ["nix/store/x"]
    for form in (str(run_html(data, fragment([]))), plain_text(run_text(data, ""))):
        assert "rejected output, still in run.rejected" in " ".join(form.split()) and "nix/store/x" in form


def test_outputs_with_size_and_needles() -> None:
    node = open_castore("memory:").ingest_bytes(b"x" * 1500)
    outputs = (BuildOutput(path="a", node=node, needles=(1,)), BuildOutput(path="l", node=SymlinkNode(b"/\xff")))
    data = run_data(facts(result=result(outputs=outputs), events=(EndEvent(time=1, status="succeeded"),)))
    first, second = data["end"]["outputs"]
    assert (first["size"], first["needles"], first["digest"]) == ("1.5 kB", ["n1"], str(node.digest))
    assert second["size"] == "to /\\xff" and second["digest"] is None


@pytest.mark.parametrize(
    ("code", "number", "words"),
    [
        (0, None, "status 0"), (3, None, "status 3"), (127, None, "did not find"), (143, None, "(asked to end)"),
        (None, 9, "signal 9, SIGKILL"), (250, None, "status 250"), (None, 77, "no name"),
    ],
)  # fmt: skip
def test_exits_in_words(code: int | None, number: int | None, words: str) -> None:
    assert words in (exit_words(code, number) or "")


def test_amounts_in_words() -> None:
    assert [seconds_words(s) for s in (0.00042, 0.25, 2, 125, 7300)] == [
        "0.42 ms",
        "250 ms",
        "2.00 s",
        "2 min 05 s",
        "2 h 01 min",
    ]
    assert exit_words(None, None) is None


def _prints(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
    build.print(b"<b>" + bytes(request.environment_vars["TOKEN"]) + f"</b>{HOSTILE}\n".encode())
    build.print("".join(f"line {n}\n" for n in range(100)))
    return {path: build.castore.ingest_bytes(b"out") for path in request.outputs}


def _sleeps(request: BuildRequest, build: DummyBuild) -> Mapping[str, Node]:
    build.print("asleep\n")
    build.sleep(60)
    return {}


def started(script: Any) -> Run:
    castore = open_castore("memory:")
    builder = DummyBuildService(castore, script)
    fields: dict[str, Any] = {"env": {"TOKEN": SECRET}, "secrets": ["TOKEN"], "outputs": ["nix/store/x"]}
    return Sandbox(["echo", SECRET, HOSTILE], store=castore, builder=builder, **fields).start()


def test_static_and_text_form_are_bounded_escaped_and_keep_the_secret() -> None:
    forms = RunForms(Run.open(started(_prints).wait().id))
    bundle = forms.bundle()
    assert set(bundle) == {"text/plain", "text/html"}
    for text in bundle.values():
        assert SECRET not in text and "[secret TOKEN]" in text and "succeeded" in text and "nix/store/x" in text
        assert "line 99" in text and "line 49" not in text and "\x1b" not in text and "\u202e" not in text
    assert "<img" not in bundle["text/html"] and "&lt;img" in bundle["text/html"]
    assert "<script" not in bundle["text/html"] and bundle["text/html"].count("<details") == 2
    assert "<details open" not in bundle["text/html"]


def test_a_script_keeps_its_lines_and_no_secret_over_them() -> None:
    token = "hunter2-\nhunter2"
    data = run_data(
        facts(command=("/bin/sh", "-c", f"cd /build\n\techo {token}\x1b[2J\n"), redactor=Redactor({"T": token}))
    )
    script = "/bin/sh -c cd /build\n\techo [secret T]\\x1b[2J"
    assert data["command"] == script
    assert html.escape(script) in run_html(data, fragment())
    shown = [line.strip("│ ") for line in plain_text(run_text(data, "")).splitlines()]
    assert [line.strip() for line in script.splitlines()] == shown[2:4]


def test_a_terminal_narrow_and_wide() -> None:
    run = started(_prints).wait()
    for width in (40, 160):
        text = plain_text(run_text(run_data(run_facts(run)), "log"), width)
        assert max(map(len, text.splitlines())) <= width and "succeeded" in text.replace("\n", "")


def until(holds: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, inspect.getsource(holds)
        time.sleep(0.01)


def test_the_widget_follows_cancels_and_ends() -> None:
    run = started(_sleeps)
    forms = RunForms(run)
    view = forms.live()
    told: list[dict[str, Any]] = []
    view.observe(lambda change: told.append(change["new"]), "state")
    assert view.state["running"] and forms.live() is view
    until(lambda: states(view.run_state())["run"] == "active")
    assert "was running on" in str(view.run_stored()["forms"]["text/plain"])
    assert view.run_cancel()["cancel"]["can"] is False
    assert view.run_cancel()["cancel"]["can"] is False, "twice is as good as once"
    assert view.updates.join(10) and view.updates.error is None
    assert view.state["status"] == "cancelled" and view.faults == []
    assert view.run_cancel()["status"] == "cancelled", "and when it is over, too"
    assert view.log_state()["lines"][0]["x"] == "asleep" and told and SECRET not in repr(told)
    stored = view.run_stored()
    assert stored["model"] == view.model_id and set(stored["forms"]) == {"text/plain", "text/html"}
    for form in stored["forms"].values():
        assert "cancelled" in form and "was running" not in form and SECRET not in form


def test_two_views_of_one_run_are_both_told() -> None:
    run = started(_sleeps)
    views = [RunForms(run).live(), RunForms(Run.open(run.id)).live()]
    assert views[0].state["cancel"]["can"] and "another process" in views[1].state["cancel"]["why"]
    run.cancel()
    for view in views:
        assert view.updates.join(10) and view.state["status"] == "cancelled"


def test_closing_a_view_leaves_the_run_alone() -> None:
    run = started(_sleeps)
    view = RunForms(run).live()
    view.close()
    assert view.updates.join(10) and run.running
    again = RunForms(run).live()
    assert again.state["running"]
    run.cancel()
    assert again.updates.join(10)


def test_outside_of_a_kernel_a_run_shows_all_its_forms() -> None:
    assert "succeeded" in run_bundle(started(_prints).wait())["text/plain"]


def test_why_it_failed_stands_above_the_log_without_secrets() -> None:
    finding = Finding(f"a cause {HOSTILE}", (Evidence("log", f"said {SECRET}", 3),), "line 1\nline 2", "likely")
    failed = result(status="failed", failed_at="build")
    data = run_data(facts(result=failed, explanation=Explanation((finding,), wrong=True)))
    (shown,) = data["findings"]
    assert shown["evidence"] == ["log line 3: said [secret TOKEN]"] and shown["cure"] == "line 1\nline 2"
    page = str(run_html(data, tag("p", "the log")))
    assert "<img" not in page and page.index("a cause") < page.index("line 2") < page.index("the log")
    assert run_data(facts(result=result()))["findings"] == []
