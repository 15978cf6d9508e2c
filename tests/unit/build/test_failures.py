"""Known texts are recognised, each as itself, and what is not known stays unexplained."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.wordings import SEEN, WORDINGS
from tvixbuild_nb.build.failures import explain_text
from tvixbuild_nb.build.known import FAILURES, Failure


@pytest.mark.parametrize(("line", "words", "stage"), [*SEEN, *WORDINGS])
def test_a_seen_text_is_explained(line: str, words: str, stage: str) -> None:
    (finding,) = explain_text(f"before\n{line}\nafter\n")
    assert words.lower() in f"{finding.cause} {finding.cure}".lower()
    assert finding.stage == stage
    assert (finding.line, finding.line_number) == (line, 1)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.pattern[:40])
def test_every_entry_has_a_seen_text(failure: Failure) -> None:
    assert any(
        finding.failure is failure
        for line in [*(seen[0] for seen in [*SEEN, *WORDINGS]), FULL]
        for finding in explain_text(line)
    )


FULL = "cp: write error: No space left on device"


def test_a_full_disk_in_a_build_is_not_a_namespace_limit() -> None:
    (finding,) = explain_text(FULL)
    assert finding.stage == "build" and "free space" in finding.cure


def test_the_symptom_comes_after_its_reason() -> None:
    text = "can't get final child's PID from pipe: EOF\nnewgidmap: gid range [100-101) -> [7-8) not allowed"
    first, second = explain_text(text)
    assert "subgid" in first.cause and second.failure.symptom


def test_every_cause_is_found_in_order_where_it_stands_last() -> None:
    text = "sh: foo: not found\nx\nsh: bar: not found\nsh: foo: not found\nexec /bin/x: exec format error\n"
    found = explain_text(text)
    assert [finding.line_number for finding in found] == [2, 3, 4]
    assert ["bar" in found[0].cause, "foo" in found[1].cause] == [True, True]
    many = explain_text("".join(f"sh: tool{number}: not found\n" for number in range(99)))
    assert [finding.line_number for finding in many] == [96, 97, 98]


def test_no_braces_are_left_in_words() -> None:
    for line, _, _ in [*SEEN, *WORDINGS]:
        for finding in explain_text(line):
            assert "{" not in finding.cause.replace("${", "") and not re.search(r"(?<!\$)\{\w+\}", finding.cure)


@given(st.text())
def test_any_text_can_be_explained(text: str) -> None:
    for finding in explain_text(text):
        assert finding.line in text


def test_a_long_log_does_not_take_long() -> None:
    assert explain_text("gcc -c file.c -o file.o && mkdir -p build/: exec error mounting ok\n" * 20_000) == []


@pytest.mark.parametrize(
    "piece",
    [
        "x",
        "/a",
        "./",
        "1",
        "a: ",
        "a:1: ",
        "'a' ",
        "mount ",
        "exec ",
        "chown: ",
        "builder ",
        "cannot open '",
        "connect to localhost ",
    ],
)
def test_no_line_can_be_built_that_takes_long(piece: str) -> None:
    log = f"{piece * (1024 // len(piece))}\n" * 1000
    started = time.process_time()
    assert explain_text(log) == []
    assert time.process_time() - started < 5
