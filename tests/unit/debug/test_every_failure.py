"""Every known text leads a failed run to its cause; healthy runs have no finding; own failures are not guessed at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.request_strategies import requests
from support.wordings import SEEN, WORDINGS
from tvixbuild_nb.build import BuildResult, Usage
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.debug import Explanation
from tvixbuild_nb.debug.explaining import explain_run
from tvixbuild_nb.debug.pasted import explain_pasted
from tvixbuild_nb.request import BuildConstraints, BuildRequest

TEXTS = [line for line, _, _ in (*SEEN, *WORDINGS)]
REQUEST = BuildRequest(command_args=["/bin/sh"])
# What builds that are well say, and those that fail of something else.
HARMLESS = [
    "checking for gcc... no", "checking for foo.h... not found", "checking whether mkdir -p works... yes",
    "cat: config.cache: No such file or directory", "grep: /nix/store/x: No such file or directory",
    "Package foo was not checked", "test 3: expected 'Permission denied'... ok", "0 errors, 2 warnings",
    "warning: unused variable 'killed'", "/build/x.c:3: note: 'chown' declared here", "make: *** [all] Error 2",
    "-- Looking for sys/epoll.h - not found", "-- Could NOT find Doxygen (missing: DOXYGEN_EXECUTABLE)",
    "FAILED (failures=1)", "AssertionError: 127 != 126", "AssertionError: 137", "error: aborting due to 1 error",
    "Skipping test_network: no network", "65535 tests", "signal 9 is SIGKILL", "exec wrapper built",
    "curl 7.88 was not found, that is fine", "ninja: no work to do.", "rm -f /bin/x",
    "collecting ... collected 3 items",
]  # fmt: skip


def _result(**fields: object) -> BuildResult:
    given = {
        "id": "r", "request_digest": REQUEST.digest, "service": "s", "status": "failed", "failed_at": "build",
        "store": "memory:", "started": 0, "finished": 1, "timings": {}, "usage": Usage(source="rusage"), **fields,
    }  # fmt: skip
    return BuildResult.model_validate(given)


def _explained(log: list[str], **fields: object) -> Explanation:
    return explain_run(_result(**fields), REQUEST, open_castore("memory:"), log=list(enumerate(log, 1)))


@pytest.mark.parametrize(("line", "words", "stage"), [*SEEN, *WORDINGS])
def test_every_known_text_explains_a_run_that_failed_of_it(line: str, words: str, stage: str) -> None:
    if stage in ("setup", "exec"):
        found = _explained([], failed_at=stage, message=f"before\n{line}")
    else:
        found = _explained(["before", line, "after"], exit_code=1)
    told = next(one for one in found if any(line.strip() in evidence.text for evidence in one.evidence))
    # What knows the sandbox's own habits (no home, few open files) says it in its own words, and is sure.
    sure = told.confidence == "certain"
    assert words.lower() in f"{told.cause} {told.cure}".lower() or (sure and stage == "build"), str(found)
    assert told.confidence in ("certain", "likely") or "above" in told.cause
    pasted = explain_pasted([f"{line}\n".encode()])
    assert [one.lines for one in pasted] == [{1}] and words.lower() in str(pasted).lower()


@given(st.lists(st.sampled_from([*TEXTS, *HARMLESS]) | st.text(max_size=40), max_size=20), requests())
def test_a_healthy_run_has_no_finding_whatever_it_says(log: list[str], request: BuildRequest) -> None:
    castore = open_castore("memory:")
    well = _result(status="succeeded", failed_at=None, exit_code=0, usage=Usage(source="cgroup", oom_kills=1))
    for result in (well, None):
        found = explain_run(result, request, castore, log=list(enumerate(log)))
        told = "nothing is wrong" if result is not None else "the run still goes on"
        assert not found and not found.wrong and str(found) == told


@given(st.lists(st.sampled_from(HARMLESS), max_size=15), st.integers(1, 123))
def test_what_failed_of_its_own_is_not_guessed_at(log: list[str], code: int) -> None:
    found = _explained(log, exit_code=code, message=f"the command ended with status {code}")
    assert not found and found.wrong and f"status {code}" in str(found) and "is not known" in str(found)


@pytest.mark.parametrize(
    ("code", "words"),
    [(124, "status 124"), (126, "status 126"), (127, "status 127"), (137, "SIGKILL"), (139, "SIGSEGV")],
)
def test_statuses_are_decoded_and_not_more(code: int, words: str) -> None:
    found = _explained(["done, leaving"], exit_code=code, message=f"the command ended with status {code}")
    assert [one.confidence for one in found] == ["possible"] and words in found.findings[0].cause
    assert found.first is None and "that is not sure" in str(found) and "log line 1: done, leaving" in str(found)
    for plain in (128, 200, 255):
        assert not _explained([], exit_code=plain)


def test_a_child_that_was_killed_for_something_else_is_no_lack_of_memory() -> None:
    counted = Usage(source="cgroup", oom_kills=0)
    found = _explained(["g++: fatal error: Killed signal terminated program cc1plus"], exit_code=1, usage=counted)
    assert "memory" not in str(found)
    shell = _explained(["Killed"], exit_code=137, usage=counted)
    assert [one.confidence for one in shell] == ["likely"] and "neither the time limit" in shell.findings[0].cause


def test_what_was_said_long_before_the_end_is_only_possible() -> None:
    log = ["sh: 1: foo: not found", *["compiling"] * 600, "test failed"]
    found = _explained(log, exit_code=1)
    assert [one.confidence for one in found] == ["possible"] and found.first is None and "test failed" in str(found)


def test_what_could_not_be_looked_into_is_said() -> None:
    unseen = ("the inputs, for the store x cannot be opened: \x1b[2J",)
    found = explain_run(_result(exit_code=1), REQUEST, None, log=[(1, "sh: foo: not found")], unseen=unseen)
    assert len(found) == 1 and "not looked into: the inputs, for the store x cannot be opened" in str(found)
    assert "\x1b" not in str(found) and found.to_dict()["unseen"] == list(found.unseen)


@pytest.mark.parametrize("failed_at", ["setup", "ingest"])
def test_a_disk_that_was_full_before_or_after_the_command(failed_at: str) -> None:
    said = "runc run failed: write /b/1.2/.init.pid: no space left on device: /b/1.2: No space left on device"
    (found,) = _explained([], failed_at=failed_at, message=said)
    assert found.cause == "no space is left on the disk of /b/1.2" and "oci:/" in found.cure
    limit = _explained([], failed_at="setup", message="bwrap: Creating new namespace failed: No space left on device")
    assert len(limit) == 1 and "disk of" not in limit.findings[0].cause


def test_an_error_of_our_own_is_told_with_what_it_says_to_do() -> None:
    (found,) = _explained([], failed_at="setup", message="the file system process died", hint="inputs='checkout'")
    assert found.cause == "the file system process died" and found.cure == "inputs='checkout'"
    assert not _explained([], exit_code=1, message="the command ended with status 1", hint="a guess")


def test_names_that_are_not_resolved_although_there_is_a_network() -> None:
    request = BuildRequest(command_args=["x"], constraints=BuildConstraints(system="x86_64-linux", network_access=True))
    log = [(1, "curl: (6) Could not resolve host: example.org")]
    found = explain_run(_result(exit_code=6), request, open_castore("memory:"), log=log)
    assert found.findings[0].confidence == "likely" and "resolv.conf" in found.findings[0].cure
    assert "no network" not in str(found)


def test_what_a_set_up_went_without_may_be_why_where_nothing_else_is_known() -> None:
    degraded = ("namespaces for the keeper: unshare: failed to unshare user namespace: No space left on device",)
    found = _explained([], failed_at="setup", message="something odd", degraded=degraded)
    assert [one.confidence for one in found] == ["possible"] and "namespaces" in found.findings[0].cause
    assert found.first is None
    known = _explained([], failed_at="setup", message="rootless container requires user namespaces", degraded=degraded)
    assert [one.confidence for one in known] == ["certain"]
    assert not _explained([], exit_code=3, degraded=degraded)
