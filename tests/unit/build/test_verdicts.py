"""Whose fault it was, from what the keeper reports; what the build prints proves nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tvixbuild_nb.build import BuildPolicy
from tvixbuild_nb.build import verdict as verdicts
from tvixbuild_nb.build.outputs import MissingOutputs
from tvixbuild_nb.build.verdict import Verdict
from tvixbuild_nb.errors import Cancelled, KeeperError, OutputError, SetupFailed, StoreError


def _of(last_line: str | None = None, **message: Any) -> Verdict | None:
    ended = {"stopped": None, "executed": True, "exit_code": 0, "signal": None, "hint": None, **message}
    return verdicts.of_command(ended, BuildPolicy(timeout=2.5, silent_timeout=1.5), lambda: last_line)


@pytest.mark.parametrize(
    ("message", "status", "failed_at"),
    [
        ({"exit_code": 3}, "failed", "build"),
        ({"exit_code": None, "signal": 9}, "failed", "build"),
        ({"exit_code": 1, "executed": False}, "failed", "exec"),
        ({"setup_error": 'exec: "nope": executable file not found in $PATH'}, "failed", "exec"),
        ({"setup_error": "executable file `x` not found"}, "failed", "exec"),
        ({"setup_error": 'error mounting "proc" to rootfs'}, "failed", "setup"),
        ({"stopped": "timed-out"}, "timed-out", None),
        ({"stopped": "silent"}, "timed-out", None),
        ({"stopped": "cancelled", "setup_error": "stopped"}, "cancelled", None),
        ({"stopped": "owner-gone", "exit_code": 0}, "cancelled", None),
        ({"stopped": "view-died"}, "failed", "setup"),
    ],
)
def test_the_end_of_the_command(message: dict[str, Any], status: str, failed_at: str | None) -> None:
    verdict = _of(**message)
    assert verdict is not None and (verdict.status, verdict.failed_at) == (status, failed_at)
    assert verdict.message


def test_a_good_end_needs_no_verdict() -> None:
    assert _of() is None


def test_the_message_is_what_helps_most() -> None:
    verdict = _of("exec /x: no such file or directory", exit_code=1, executed=False)
    assert verdict is not None and verdict.message == "exec /x: no such file or directory"
    verdict = _of("write: no space", setup_error="runc ended with status 1")
    assert verdict is not None and verdict.message == "runc ended with status 1: write: no space"
    verdict = _of(setup_error="mkdir: No space left on device")
    assert verdict is not None and "free some space" in (verdict.hint or "")
    verdict = _of(stopped="timed-out")
    assert verdict is not None and "2.5 s" in (verdict.message or "")


def test_killed_helpers_are_no_failures_in_the_sense_of_keep() -> None:
    for message in ({"stopped": "view-died"}, {"setup_error": "runc was killed by SIGKILL", "runtime_killed": True}):
        verdict = _of(**message)
        assert verdict is not None and verdict.killed
    assert verdicts.of_surroundings(KeeperError("died"), keeper_died=True).killed


def test_outputs_and_surroundings() -> None:
    missing = verdicts.of_outputs(MissingOutputs(["nix/store/x"], ("/build/y",)))
    assert (missing.failed_at, missing.exit_code, missing.written) == ("output", 0, ("/build/y",))
    assert verdicts.of_outputs(OutputError("a FIFO", path="x/p")).message == "x/p: a FIFO"
    assert verdicts.of_outputs(StoreError("full")).failed_at == "ingest"
    assert verdicts.of_surroundings(Cancelled("enough"), False).status == "cancelled"
    assert verdicts.of_surroundings(SetupFailed("no", path="/b"), False).message == "/b: no"
    assert verdicts.of_surroundings(OSError(28, "No space left on device", "/b"), False).hint


def test_a_failed_build_that_was_not_given_its_input_says_so() -> None:
    failed = Verdict("failed", "build", 1, message="the command ended with status 1")
    assert "open /src: gone" in (failed.blaming(["open /src: gone"]).message or "")
    assert failed.blaming([]) is failed
    good = Verdict("succeeded")
    assert good.blaming(["open /src: gone"]) is good


def test_a_failure_with_a_known_text_gets_its_cure_as_a_hint() -> None:
    failed = Verdict("failed", "build", 127, message="the command ended with status 127")
    assert "gcc is not in the sandbox" in (failed.advised("/bin/sh: gcc: not found\n", None).hint or "")
    assert "lack of memory" in (failed.advised("", 2).hint or "")
    assert failed.advised("nothing known\n", 0) is failed
    hinted = Verdict("failed", "setup", message="x", hint="already")
    assert hinted.advised("/bin/sh: gcc: not found", 1) is hinted
    missing = Verdict("failed", "exec", message='exec: "/bin/x": stat /bin/x: no such file or directory')
    assert "ELF loader" in (missing.advised("", None).hint or "")
    # What another runtime says inside is not this sandbox's set-up.
    inner = failed.advised("cannot set uid to unmapped user in user namespace\n", None)
    assert inner.hint is None
