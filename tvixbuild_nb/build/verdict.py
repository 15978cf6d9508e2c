"""Verdicts: how a build ended and whose fault that was, from what the keeper and the stages report. Pure."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tvixbuild_nb.build.events import FailedAt, Status
from tvixbuild_nb.build.failures import explain_text
from tvixbuild_nb.build.known import words
from tvixbuild_nb.build.outputs import MissingOutputs
from tvixbuild_nb.build.service import BuildPolicy
from tvixbuild_nb.errors import Cancelled, CastoreError, OutputError, TvixBuildError

# What runc and crun say when everything was set up and only the program itself could not be started.
_EXEC_TEXTS = re.compile(
    r'exec: "|executable file|open executable|exec user process|execve'
    r"|the path `[^`]+` (?:is not a regular file|exists but it is not executable)"
)
SILENT = "it wrote nothing for"
_WORDLESS = re.compile(r"\w+ ended with status \d+")
_HINTS = {
    errno.ENOSPC: "free some space, or choose another bundle root (oci:/path)",
    errno.EACCES: "choose a bundle root that is yours (oci:/path)",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the build ended, before anything about its surroundings.

    ``killed``: something that serves the build was killed, which is no failure in the sense of ``keep``.
    """

    status: Status
    failed_at: FailedAt | None = None
    exit_code: int | None = None
    signal: int | None = None
    message: str | None = None
    hint: str | None = None
    written: tuple[str, ...] | None = None
    killed: bool = False

    def blaming(self, faults: Sequence[str]) -> Verdict:
        """This verdict, with what the build was not given of its inputs when that may be why it failed."""
        if self.status != "failed" or not faults:
            return self
        hint = self.hint or "ingest that input again: the store has lost part of it"
        return replace(self, message=f"{self.message}; an input could not be read: {faults[0]}", hint=hint)

    def advised(self, log_tail: str, oom_kills: int | None, *, network: bool = False) -> Verdict:
        """This verdict with a hint where it has none: what is known about the texts at the end of the log.

        ``network``: whether it had the host's, so that it lacked names or an answer, and not a network.
        """
        if self.status != "failed" or self.hint is not None:
            return self
        if oom_kills:
            text = f"the kernel ended {oom_kills} of its processes for lack of memory: raise limits.memory, or use less"
            return replace(self, hint=text)
        known = explain_text(f"{log_tail}\n{self.message}")
        fitting = [finding for finding in known if not finding.failure.symptom and self._fits(finding.stage)]
        if oom_kills is not None:
            # Counted, and none was: what was killed was not killed for lack of memory.
            fitting = [finding for finding in fitting if finding.failure.pattern != words.KILLED]
        if network:
            fitting = [
                finding for finding in fitting if finding.failure.pattern not in (words.NO_NETWORK, words.LOOPBACK)
            ]
        if not fitting:
            return self
        last = max(fitting, key=lambda finding: finding.line_number)
        return replace(self, hint=f"{last.cause}: {last.elsewhere}")

    def _fits(self, stage: str) -> bool:
        # A build may run another runtime, but then its set-up is not this build's.
        return stage == self.failed_at or (self.failed_at == "build" and stage in ("exec", "output"))


class Ended(Exception):
    """The build is decided; later stages are left out."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.message or verdict.status)
        self.message = verdict.message
        self.verdict = verdict


def of_command(ended: dict[str, Any], policy: BuildPolicy, last_line: Callable[[], str | None]) -> Verdict | None:
    """The verdict on the command's end, None when it ended well.

    ``ended`` is the keeper's ``exited`` message of a build by ``policy``, ``last_line`` reads the end of the log. What
    a build prints proves nothing; whether its first process ever executed the command is the kernel's word.
    """
    stopped = ended["stopped"]
    if stopped == "timed-out":
        return Verdict("timed-out", message=f"the time limit of {policy.timeout:g} s passed")
    if stopped == "silent":
        return Verdict("timed-out", message=f"{SILENT} {policy.silent_timeout:g} s")
    if stopped in ("cancelled", "owner-gone"):
        return Verdict("cancelled", message="the build was cancelled")
    if stopped == "view-died":
        text = "the file system process that served the inputs died during the build"
        hint = "run it again; inputs='checkout' does without it"
        return Verdict("failed", "setup", message=text, hint=hint, killed=True)
    if ended.get("setup_error") is not None:
        return _of_setup(ended, last_line)
    code, number = ended["exit_code"], ended["signal"]
    if not ended["executed"]:
        return Verdict("failed", "exec", code, number, last_line() or "the command could not be started")
    if number is not None:
        return Verdict("failed", "build", None, number, f"the command was ended by signal {number}")
    if code != 0:
        return Verdict("failed", "build", code, None, f"the command ended with status {code}")
    return None


def _of_setup(ended: dict[str, Any], last_line: Callable[[], str | None]) -> Verdict:
    error: str = ended["setup_error"]
    if _WORDLESS.fullmatch(error):
        # The runtime could not write its own log, and said why where the command's output goes.
        error = f"{error}: {last_line()}"
    failed_at: FailedAt = "exec" if _EXEC_TEXTS.search(error) else "setup"
    hint = ended["hint"] or (_HINTS[errno.ENOSPC] if os.strerror(errno.ENOSPC) in error else None)
    return Verdict("failed", failed_at, message=error, hint=hint, killed=bool(ended.get("runtime_killed")))


def of_outputs(error: OutputError | CastoreError) -> Verdict:
    """The verdict on outputs that could not be stored: the build's fault, or the store's."""
    if isinstance(error, MissingOutputs):
        return Verdict("failed", "output", 0, message=error.message, hint=error.hint, written=error.written)
    failed_at: FailedAt = "output" if isinstance(error, OutputError) else "ingest"
    return Verdict("failed", failed_at, 0, message=_with_place(error), hint=error.hint)


def of_check(error: OutputError) -> Verdict:
    """The verdict on outputs that were stored and then refused; the message is whole, it names the path itself."""
    return Verdict("failed", "output", 0, message=error.message, hint=error.hint)


def of_surroundings(error: TvixBuildError | OSError, keeper_died: bool) -> Verdict:
    """The verdict on what went wrong around the command: cancelled, or a set-up that failed."""
    if isinstance(error, Cancelled):
        return Verdict("cancelled", message=error.message)
    if isinstance(error, TvixBuildError):
        return Verdict("failed", "setup", message=_with_place(error), hint=error.hint, killed=keeper_died)
    return Verdict("failed", "setup", message=system_words(error), hint=_HINTS.get(error.errno or 0))


def system_words(error: OSError) -> str:
    """A system error as one short text: which file, and what."""
    return f"{os.fsdecode(error.filename)}: {error.strerror}" if error.filename else str(error.strerror or error)


def _with_place(error: TvixBuildError) -> str:
    return error.message if error.where is None else f"{error.where}: {error.message}"
