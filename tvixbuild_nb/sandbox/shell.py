"""Shell: a shell inside a run's sandbox, for a notebook cell by cell: what one command sets the next one finds."""

from __future__ import annotations

import os
import secrets
import select
import shlex
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from tvixbuild_nb.display import mimebundle, plain, register
from tvixbuild_nb.errors import InvalidValue, KeeperError
from tvixbuild_nb.keeper.visiting import Visit
from tvixbuild_nb.sandbox.answers import Asked, note
from tvixbuild_nb.sandbox.entering import Entrance, entrance
from tvixbuild_nb.sandbox.executing import Executed, Taken
from tvixbuild_nb.sandbox.printer import SafeText
from tvixbuild_nb.sandbox.shells import ShellPlan, shell_for

if TYPE_CHECKING:
    from tvixbuild_nb.sandbox.run import Run

_CHUNK = 1 << 16
# Seconds that what was interrupted has to end by itself, and then to be ended.
_PATIENCE = 1.0


class Shell:
    """A shell in the sandbox of ``run``: ``sh("make")`` executes a command in it and returns how it ended.

    Directory, variables and functions stay from one command to the next. Close it, or use it as a context manager:
    of a run that is over, what it changed is then kept for who enters next, and nothing else stays behind.
    ``differences`` from the run's config.json: the arguments and added tools, nothing else.
    """

    def __init__(self, run: Run, stack: ExitStack, sandbox: Entrance, plan: ShellPlan, opened_as: Asked) -> None:
        self.run = run
        self._opened_as = replace(opened_as, greeting=True)
        self._stack = stack
        self._lock = threading.Lock()
        self._mark = f"tvixbuild-{secrets.token_hex(12)}:".encode()
        self._over: str | None = None
        self._program = plan.program
        # The prelude is its first command, so that what it says can be told apart.
        words: tuple[str, ...] = (plan.program, "-s")
        words = words if sandbox.tools is None else sandbox.tools.on_path(words)
        self.differences = sandbox.differences(words)
        theirs_in, self._input = os.pipe()
        self._output, theirs_out = os.pipe()
        stack.callback(os.close, self._input)
        stack.callback(os.close, self._output)
        try:
            self._visit: Visit = stack.enter_context(
                sandbox.enter(words, (theirs_in, theirs_out, theirs_out), give=True)
            )
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        # Where commands are told to have ended, wherever they send their output.
        self._say("exec 9>&1\n")
        self.greeting = None if plan.prelude is None else self(plan.prelude)
        """What running the phases before the wanted one wrote, and how that ended; None without a phase."""
        self._opened_as = opened_as

    @classmethod
    def begin(cls, run: Run, *, fresh: bool | None, phase: str | None, tools: Sequence[str]) -> Self:
        """Open the sandbox and start a shell in it; raises what :func:`entrance` and :func:`shell_for` raise."""
        with ExitStack() as stack:
            anew = begins_anew(fresh, phase)
            sandbox = stack.enter_context(entrance(run, fresh=anew, tools=tools))
            shell = cls(run, stack, sandbox, shell_for(sandbox, phase), Asked("shell", "", tuple(tools), anew, phase))
            # From here on the shell closes it.
            shell._stack = stack.pop_all()
        return shell

    @property
    def alive(self) -> bool:
        """Whether it takes commands."""
        return self._over is None

    def __call__(self, command: str, *, timeout: float | None = None, output: TextIO | None = None) -> Executed:
        """Execute ``command``, a text in the shell's language; its standard input is empty.

        After ``timeout`` seconds, and at the notebook's stop button, what it has started is ended, and the shell stays.
        ``output`` is shown what it writes as it comes. :class:`InvalidValue` when the shell is over.
        """
        if not isinstance(command, str) or "\0" in command:
            raise InvalidValue("a command is one text without NUL", path="command")
        with self._lock:
            if self._over is not None:
                raise InvalidValue(f"this shell {self._over}", path="shell", hint="run.shell() opens another one")
            taken = Taken(None if output is None else (output, SafeText(output, self.run.redactor)))
            self._say(
                f"{{ (exit ${{__tvixbuild_status:-0}}); command eval {shlex.quote(command)}\n}} </dev/null 9>&-\n"
                f"__tvixbuild_status=$?; printf '\\n%s%s\\n' {self._mark.decode()} \"$__tvixbuild_status\" >&9\n"
            )
            began = time.monotonic()
            done = self._answer(command, taken, timeout)
            note(replace(self._opened_as, command=command), done, time.monotonic() - began)
            return done

    def _answer(self, command: str, taken: Taken, timeout: float | None) -> Executed:
        reason = None
        reader = _UntilMark(self._output, self._mark, taken)
        try:
            status = reader.read(self._visit, None if timeout is None else time.monotonic() + timeout)
            if status is None and not reader.ended:
                reason = f"ended after {timeout:g} s"
                status = self._interrupted(reader)
        except KeyboardInterrupt:
            reason = "interrupted"
            status = self._interrupted(reader)
        if status is None:
            over = self._end()
            reason = f"{reason}, and the shell {over}" if reason else f"the shell {over}"
        text = taken.finish()
        code = None if reason else status
        return Executed((command,), self.run, code, None, reason, text, taken.left_out, self.differences)

    def _interrupted(self, reader: _UntilMark) -> int | None:
        """End what goes on in the shell: its status, None when the shell itself did not come back."""
        for number in (signal.SIGINT, signal.SIGKILL):
            self._visit.interrupt(number)
            status = reader.read(self._visit, time.monotonic() + _PATIENCE)
            if status is not None or reader.ended:
                return status
        return None

    def _say(self, text: str) -> None:
        data = text.encode("utf-8", "surrogateescape")
        try:
            while data:
                data = data[os.write(self._input, data) :]
        except BrokenPipeError:
            return  # it has ended, which its answer tells

    def _end(self) -> str:
        """How it ended, in words; nothing of it stays."""
        try:
            left = self._visit.wait(_PATIENCE)
        except KeeperError:
            left, self._over = None, "was taken away with its sandbox"
        if self._over is None:
            if left is None or left.sent_away:
                self._over = "was ended"
            elif left.signal is not None:
                self._over = f"was ended by signal {left.signal}"
            else:
                self._over = f"has ended with status {left.exit_code}"
        self._stack.close()
        return self._over

    def close(self) -> None:
        """End it, and take its sandbox away; idempotent."""
        with self._lock:
            if self._over is None:
                self._over = "is closed"
                self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # A name in a notebook that is used again: the sandbox behind the old one goes.
        if getattr(self, "_over", "never begun") is None:
            self.close()

    def __repr__(self) -> str:
        return f"<Shell in run {self.run.id}: {self._program}, {self._over or 'open'}>"

    def __str__(self) -> str:
        state = self._over or 'open: sh("command") executes one, sh.close() ends it'
        said = "" if self.greeting is None else f"\n{self.greeting}"
        return f"shell in the sandbox of run {self.run.id}, {state}\n{self.differences}{said}"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


register(Shell, plain)


def begins_anew(fresh: bool | None, phase: str | None) -> bool:
    """Whether the scratch directories are as at the start; :class:`InvalidValue` for a phase in what is left."""
    if phase is not None and fresh is False:
        raise InvalidValue("the phases are run from the start", path="fresh", hint="leave fresh out, or the phase")
    return bool(fresh) or phase is not None


class _UntilMark:
    """Reads a shell's output up to the line that tells how a command ended."""

    def __init__(self, fd: int, mark: bytes, taken: Taken) -> None:
        self.ended = False
        self._fd = fd
        self._mark = b"\n" + mark
        self._taken = taken
        self._rest = b""

    def read(self, visit: Visit, deadline: float | None) -> int | None:
        """The command's status; None when the (monotonic) ``deadline`` passed, or the shell ``ended``."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        poll.register(visit, select.POLLIN)
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
            ready = dict(poll.poll(left))
            if not ready:
                return None
            if self._fd not in ready:
                self._give(self._rest)
                self._rest = b""
                self.ended = True
                return None
            data = os.read(self._fd, _CHUNK)
            status = self._found(data)
            if status is not None:
                return status
            if not data:
                poll.unregister(self._fd)

    def _found(self, data: bytes) -> int | None:
        self._rest += data
        at = self._rest.find(self._mark)
        if at < 0:
            # What may be the beginning of the mark is kept back.
            keep = len(self._mark) - 1
            self._give(self._rest[:-keep])
            self._rest = self._rest[-keep:]
            return None
        end = self._rest.find(b"\n", at + len(self._mark))
        if end < 0:
            return None
        self._give(self._rest[:at])
        status = int(self._rest[at + len(self._mark) : end])
        self._rest = b""
        return status

    def _give(self, data: bytes) -> None:
        if data:
            self._taken.take(data)
