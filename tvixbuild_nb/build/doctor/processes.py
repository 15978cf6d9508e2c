"""Short-lived processes that try something: started, given a time limit, and gone afterwards whatever they did."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
_LAST_WORDS = 2000


@dataclass(frozen=True, slots=True)
class Answer:
    """What a process said: ``outcome`` is its JSON object, None when there was none; ``problem`` says why not."""

    outcome: dict[str, Any] | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Asker:
    """Starts the trying processes; ``limit`` is the number of seconds each may take."""

    limit: float = 10.0

    def inside(self, what: str, *arguments: object) -> Answer:
        """Run one function of ``inside.py``."""
        script = str(HERE / "inside.py")
        return self._ask([sys.executable, "-I", "-S", script, _paths(), what, *map(str, arguments)])

    def trial(self, root: Path, runtimes: Sequence[str]) -> Answer:
        """Run the trial builds below ``root``."""
        code = (
            "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
            "from tvixbuild_nb.build.doctor.trial import main; main(sys.argv[2], sys.argv[3:])"
        )
        return self._ask([sys.executable, "-I", "-S", "-c", code, _paths(), str(root), *runtimes])

    def text(self, *command: str, argv0: str | None = None) -> tuple[int | None, str]:
        """Exit status and output of a program, standard error included; status None when it could not run."""
        done = self._run([argv0 or command[0], *command[1:]], program=command[0])
        return done if isinstance(done, tuple) else (None, done)

    def _ask(self, command: Sequence[str]) -> Answer:
        done = self._run(command)
        if isinstance(done, str):
            return Answer(None, done)
        status, text = done
        last = text.strip().rpartition("\n")[2]
        try:
            outcome = json.loads(last)
        except ValueError:
            outcome = None
        if isinstance(outcome, dict):
            return Answer(outcome)
        return Answer(None, f"the trying process ended with status {status}: {text.strip()[-_LAST_WORDS:]}")

    def _run(self, command: Sequence[str], program: str | None = None) -> tuple[int, str] | str:
        """(status, output), or why there is none."""
        try:
            # A session of its own: no terminal, and one signal reaches all of its children.
            process = subprocess.Popen(
                command,
                executable=program,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            return f"{error.filename or command[0]}: {error.strerror}"
        try:
            output, _ = process.communicate(timeout=self.limit)
        except subprocess.TimeoutExpired:
            _end(process)
            return f"no answer within {self.limit:g} s"
        return process.returncode, output.decode("utf-8", "replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # Somebody may still hold the pipe: wait for the process, not for the pipe's end.
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _paths() -> str:
    package = str(HERE.parents[2])
    return json.dumps([package, *(os.path.abspath(path) for path in sys.path if path and path != package)])
