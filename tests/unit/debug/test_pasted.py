"""explain -: pasted logs in every guise give the causes they name, with the line; ordinary ones give none."""

from __future__ import annotations

import io
import json
import re
import sys
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.cli import Command
from support.wordings import SEEN, WORDINGS
from tvixbuild_nb.build.known import FAILURES
from tvixbuild_nb.debug.explanation import Explanation
from tvixbuild_nb.debug.pasted import MAX_CHARACTERS, MAX_LINES, explain_pasted

DRV = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-hello.drv"


def _explained(text: str | bytes) -> Explanation:
    return explain_pasted([text if isinstance(text, bytes) else text.encode()])


@pytest.mark.parametrize(
    ("text", "cause", "line"),
    [
        ("sh: 1: foo: not found", "the tool foo", 1),
        (
            f"error: builder for '{DRV}' failed with exit code 127;\n  last 1 log lines:\n  > sh: foo: not found",
            "foo",
            3,
        ),
        ("\x1b[31;1merror:\x1b[0m hash mismatch in fixed-output derivation 'x':", "what was fetched", 1),
        (
            f"error: Cannot build '{DRV}'.\n       Reason: builder failed\n"
            "hello> mkdir: cannot create '/homeless-shelter/.cache'",
            "HOME",
            3,
        ),
        ("10%\r50%\rcurl: (6) Could not resolve host: example.org\r\n", "no network", 1),
        ('@nix {"action":"msg","level":0,"msg":"cycle detected in build of \\u0027x\\u0027"}', "in a circle", 1),
        ('@nix {"action":"result","fields":["mkdir: /homeless-shelter: denied"],"type":101}', "HOME", 1),
        ('@nix {"action":"msg","level":0,"msg":"error: x\\n   > \\u001b[1msh: foo: not found"}', "the tool foo", 1),
        ("@nix " + json.dumps({"msg": f"{'x' * 5000}\nls: a: No space left on device"}), "the disk", 1),
        (f"{'10%' * 999}\r{'x' * 5000}\rsh: foo: not found\r\n", "the tool foo", 1),
        ("2026-11-28T10:00:00.1234567Z hello-2.12?a=b> Killed\r\n", "was killed", 1),
        (b"\0\1\2" * 900 + b"\nsh: foo: not found\n", "the tool foo", 2),
        (b"caf\xe9\nls: \xff: No space left on device\n", "the disk", 2),
    ],
)
def test_causes_are_found_in_every_guise(text: str | bytes, cause: str, line: int) -> None:
    [finding] = _explained(text)
    assert cause in finding.cause and finding.lines == {line} and finding.confidence == "likely"


def test_a_symptom_is_told_last_and_as_possible() -> None:
    found = _explained("can't get final child's PID from pipe: EOF\nnsexec-0[1]: mapping tool not present")
    assert [finding.confidence for finding in found] == ["likely", "possible"]


def test_what_is_not_known_is_said_so_with_nix_envelope() -> None:
    told = _explained(f"make: *** [all] Error 2\nerror: builder for '{DRV}' failed with exit code 2\n")
    assert not told and told.wrong
    assert "is not known" in str(told) and f"the builder of {DRV} failed with exit code 2" in str(told)


def test_how_newer_ones_of_nix_say_it_is_known_with_the_derivations() -> None:
    log = (
        f"\x1b[31;1merror:\x1b[0m Cannot build '\x1b[35;1m{DRV}\x1b[0m'.\n"
        "       Reason: \x1b[31;1mbuilder failed with exit code 2\x1b[0m.\n       Output paths:\n"
        "         /nix/store/0123456789abcdfghijklmnpqrsvwxyz-hello\n       Last 1 log lines:\n"
        "       > make: *** [all] Error 2\n       For full logs, run:\n         nix log x\n"
    )
    told = _explained(log)
    assert not told and told.known[:2] == (
        f"log line 1: {DRV} was not built",
        "log line 2: builder failed with exit code 2",
    )
    found = _explained(
        log.replace("make: *** [all] Error 2", "x.c:1:1: fatal error: zlib.h: No such file or directory")
    )
    assert [one.lines for one in found] == [{6}] and "zlib.h" in found.findings[0].cause


@pytest.mark.parametrize(
    "text",
    ["", "\n", "checking for foo... no\nbuilding\ninstalling\n", "hello\x1b[2J\n", "> quoted\n"],
)
def test_ordinary_logs_have_nothing_wrong(text: str) -> None:
    found = _explained(text)
    nothing = "nothing in it is known to be a failure" if text.strip() else "the log is empty"
    assert not found and not found.wrong and str(found) == nothing


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_anything_can_be_pasted_in_any_pieces(pieces: list[bytes]) -> None:
    told = explain_pasted(pieces)
    assert str(told) == str(explain_pasted([b"".join(pieces)]))
    assert all(line.isprintable() for line in str(told).split("\n"))


def test_a_very_large_log_takes_little_memory() -> None:
    def log(line: bytes) -> Iterator[bytes]:
        for _ in range(100):
            yield line * 1000
        yield b"sh: foo: not found\n"

    for line in (b"x" * 100, b"gcc -c file.c -o file.o\n", b"@nix " + b"x" * 200 + b"\n", b"@nix " + b"\xff" * 100):
        tracemalloc.start()
        try:
            told = explain_pasted(log(line))
            assert tracemalloc.get_traced_memory()[1] < 60 << 20
        finally:
            tracemalloc.stop()
        assert len(told) == (1 if line.endswith(b"\n") else 0)
        assert not told or told.findings[0].lines == {100_001}


def test_long_logs_and_lines_are_bounded() -> None:
    def log() -> object:
        yield b"mkdir: /homeless-shelter: denied\n"
        for _ in range(MAX_LINES):
            yield b"line\n"
        for _ in range(100):
            yield b"x" * MAX_CHARACTERS
        yield b"sh: foo: not found"

    assert not explain_pasted(log())  # type: ignore[arg-type]


def test_the_command_reads_standard_input(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = Command(capfdbinary)
    log = io.TextIOWrapper(io.BytesIO(b"sh: foo: not found\n\x1b[2J"))
    monkeypatch.setattr(sys, "stdin", log)
    assert "the tool foo" in command("explain", "-")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"sh: foo: not found\n")))
    [finding] = command.json("explain", "-")["findings"]
    assert finding["evidence"] == [{"kind": "log", "text": "sh: foo: not found", "line": 1}]
    command("explain", "19700101-no-such-run", status=1)


# What somebody has who has a log: no Sandbox, no Run, nothing of Python's.
_NOT_THEIRS = re.compile(r"\bsb\.|\brun\.|\bsb = |\brun = |Sandbox|SpecOptions\(|doctor\(\)|add_\w+\(|add_host_program")


def test_no_cure_of_a_pasted_log_names_what_only_a_notebook_has() -> None:
    for line, _, _ in (*SEEN, *WORDINGS):
        for finding in _explained(line):
            assert not _NOT_THEIRS.search(finding.cure), finding
    for failure in FAILURES:
        assert not _NOT_THEIRS.search(failure.elsewhere or failure.cure), failure


@pytest.mark.parametrize(
    ("text", "cause", "cure"),
    [
        ("/bin/sh: can't create : nonexistent directory", "the name of a file is empty", "set -u"),
        ("sh: 1: cannot create : Directory nonexistent", "the name of a file is empty", "set -u"),
        ("bash: line 1: $out: ambiguous redirect", "such as $out", "set -u"),
        ("touch: cannot touch '': No such file or directory", "the name of a file is empty", "set -u"),
        ("cat: can't open 'x.c': No such file or directory", "x.c is not there", "sourceRoot"),
        ("/bin/sh: can't open x.c: no such file", "x.c is not there", "sourceRoot"),
        ("python3: can't open file '/build/x.py': [Errno 2] No such file or directory", "/build/x.py is not", "src"),
        ("/bin/sh: can't create /a/b: nonexistent directory", "the directory of /a/b is not there", "mkdir -p"),
        ("sh: 1: cannot create a/b: Directory nonexistent", "the directory of a/b is not there", "mkdir -p"),
        ("/build/run.sh: line 3: FOO: unbound variable", "FOO is not set", "${FOO:-}"),
        ("error: building of '/x.drv' timed out after 10 seconds of silence", "nothing for 10 s", "what it waits for"),
    ],
)
def test_what_newcomers_paste(text: str, cause: str, cure: str) -> None:
    (finding,) = _explained(f"{text}\n")
    assert cause in finding.cause and cure in finding.cure and finding.confidence == "likely"


def test_verdicts_of_several_lines_are_shown_whole() -> None:
    text = (
        f"error: hash mismatch in fixed-output derivation '{DRV}':\n"
        "         specified: sha256-AAAA\n            got:    sha256-BBBB\nerror: 1 dependencies failed\n"
    )
    finding = _explained(text).findings[0]
    assert [one.text.split()[0] for one in finding.evidence] == ["error:", "specified:", "got:"]
    assert finding.lines == {1, 2, 3}
    many = "error: output 'x' is not allowed to refer to the following paths:\n" + "  /nix/store/y\n" * 50
    assert len(_explained(many).findings[0].evidence) == 7
    assert len(_explained("error: output 'x' is not allowed to refer to the following paths:").findings) == 1


def test_every_known_failure_has_a_cause_and_a_cure() -> None:
    assert all(failure.cause and failure.cure for failure in FAILURES)
    assert json.dumps(_explained("sh: foo: not found").to_dict())
