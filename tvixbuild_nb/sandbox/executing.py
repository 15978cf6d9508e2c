"""Executed: a command in the sandbox of a run, how it ended and what it wrote."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from tvixbuild_nb.build import Recorded
from tvixbuild_nb.display import mimebundle, plain, register
from tvixbuild_nb.errors import SetupFailed
from tvixbuild_nb.keeper.visiting import Left, Visit
from tvixbuild_nb.oci import Diff
from tvixbuild_nb.sandbox.entering import Entrance
from tvixbuild_nb.sandbox.printer import SafeText

if TYPE_CHECKING:
    from tvixbuild_nb.sandbox.run import Run

# Bytes of output that are kept.
MOST = 32 << 20
_CHUNK = 1 << 16
# Seconds for output after the command: of one that was ended, and of one that left somebody behind who holds the pipe.
_LAST_WORDS = 1.0
_STRAGGLERS = 0.2
_WITH_IT = "ended with its sandbox"


@dataclass(frozen=True, slots=True)
class Executed:
    """How a command ended in the sandbox of ``run``, and what it wrote; ``str()`` is for people, without secrets.

    Parameters: ``exit_code``, its status, None when it did not come to one; ``signal`` that ended it, or None;
    ``reason``, why it has no status, in words; ``output``, what it wrote to both streams, the first 32 MiB of it;
    ``left_out``, how many bytes more there were; ``differences`` from the run's config.json; ``recorded``, when and
    where it was executed, where that was not now and here.
    """

    command: tuple[str, ...]
    run: Run = field(repr=False)
    exit_code: int | None
    signal: int | None
    reason: str | None
    output: str = field(repr=False)
    left_out: int
    differences: Diff = field(repr=False)
    recorded: Recorded | None = None

    @property
    def ok(self) -> bool:
        """Whether it ended with status 0."""
        return self.exit_code == 0

    @property
    def verdict(self) -> str:
        """How it ended, in words."""
        return self.reason or f"ended with status {self.exit_code}"

    def __str__(self) -> str:
        parts = [self.output]
        if self.left_out:
            parts.append(f"[{self.left_out} more bytes were not kept]")
        if not self.ok:
            parts.append(f"[{self.verdict}]")
        if self.recorded is not None:
            parts.append(f"[{self.recorded}]")
        *whole, last = parts
        text = "".join(part if not part or part.endswith("\n") else f"{part}\n" for part in whole) + last
        return self.run.redactor.text(text)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


register(Executed, plain)


def execute(
    sandbox: Entrance,
    words: Sequence[str],
    *,
    timeout: float | None = None,
    output: TextIO | None = None,
    stdin: int | None = None,
) -> Executed:
    """Execute ``words`` inside and wait for the end; after ``timeout`` seconds it is ended.

    ``output`` is shown what is written as it comes; ``stdin`` is a descriptor for its input, None for none. A command
    that cannot be started is :class:`Executed`, too.
    """
    command = tuple(words)
    words = command if sandbox.tools is None else sandbox.tools.on_path(command)
    taken = Taken(None if output is None else (output, SafeText(output, sandbox.run.redactor)))
    code, number, reason = None, None, None
    goes_on = sandbox.run.result is None
    ours, theirs = os.pipe()
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            visit = sandbox.enter(words, (nothing if stdin is None else stdin, theirs, theirs), give=True)
        finally:
            os.close(theirs)
            os.close(nothing)
        with visit:
            left = taken.follow(ours, visit, None if timeout is None else time.monotonic() + timeout)
        if left is None:
            reason = f"ended after {timeout:g} s"
            # It has a moment to write its last words.
            taken.drain(ours, _LAST_WORDS)
        else:
            code, number = left.exit_code, left.signal
            if left.sent_away:
                reason = _WITH_IT
            elif number is not None:
                reason = f"ended by signal {number}"
    except SetupFailed as error:
        # Who was just being let in when all was ended hears of it in the runtime's words.
        reason = _WITH_IT if goes_on and sandbox.run.cancelling else error.message
    finally:
        os.close(ours)
    text = taken.finish()
    if code is None and number is None and reason is not None and text.strip() == reason:
        text = ""  # runc says why it could not, where the command would have written
    return Executed(command, sandbox.run, code, number, reason, text, taken.left_out, sandbox.differences(words))


class Taken:
    """What came out of a pipe: the first of it kept, all of it shown where somebody looks."""

    def __init__(self, shown: tuple[TextIO, SafeText] | None = None) -> None:
        self.left_out = 0
        self._data = bytearray()
        self._shown = shown

    def follow(self, fd: int, visit: Visit, deadline: float | None) -> Left | None:
        """Read until the command has ended; how it did, or None when the (monotonic) ``deadline`` passed before.

        What it has started and left behind may hold the pipe open for as long as it likes.
        """
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.register(visit, select.POLLIN)
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready = dict(poll.poll(None if left is None else left * 1000))
            if not ready:
                return None
            if fd in ready:
                if not self._read(fd):
                    return visit.wait(left)
            else:
                ended = visit.wait()
                self.drain(fd, _STRAGGLERS)
                return ended

    def drain(self, fd: int, patience: float) -> None:
        """Read what is still there, until the end or for ``patience`` seconds."""
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        until = time.monotonic() + patience
        while poll.poll(max(0.0, until - time.monotonic()) * 1000) and self._read(fd):
            pass

    def _read(self, fd: int) -> bool:
        data = os.read(fd, _CHUNK)
        self.take(data)
        return bool(data)

    def take(self, data: bytes) -> None:
        """One piece."""
        room = max(0, MOST - len(self._data))
        self._data += data[:room]
        self.left_out += max(0, len(data) - room)
        if self._shown is not None:
            output, safe = self._shown
            output.write(safe.feed(data))
            output.flush()

    def finish(self) -> str:
        """The text of what was kept."""
        if self._shown is not None:
            output, safe = self._shown
            output.write(safe.finish())
            output.flush()
        return self._data.decode("utf-8", "replace")
