"""Answers: what commands in a run's sandbox said, noted as they are executed, and given again by a recorded run."""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, TextIO

from tvixbuild_nb.build.visits import MOST, Visit
from tvixbuild_nb.display import mimebundle, plain, register
from tvixbuild_nb.errors import InvalidValue, NotRecorded
from tvixbuild_nb.oci import Diff
from tvixbuild_nb.oci.compare import Difference
from tvixbuild_nb.sandbox.executing import Executed
from tvixbuild_nb.sandbox.printer import SafeText

if TYPE_CHECKING:
    from tvixbuild_nb.sandbox.run import Run

_LISTED = 20
_SHELL = "/bin/sh"


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of a sandbox, word for word; see :class:`Visit`."""

    by: Literal["exec", "shell"]
    command: tuple[str, ...] | str
    tools: tuple[str, ...] = ()
    fresh: bool = False
    phase: str | None = None
    greeting: bool = False

    @classmethod
    def of(cls, visit: Visit) -> Self:
        """What a visit answered."""
        return cls(visit.asked, visit.command, visit.tools, visit.fresh, visit.phase, visit.greeting)

    def __str__(self) -> str:
        command = self.command if isinstance(self.command, str) else shlex.join(self.command)
        more = [f"tools {', '.join(self.tools)}"] if self.tools else []
        more += ["fresh"] if self.fresh and self.phase is None else []
        more += [f"in {self.phase}"] if self.phase else []
        return f"{command} ({'; '.join(more)})" if more else command


def note(asked: Asked, done: Executed, seconds: float) -> None:
    """Keep how a command ended in the directory of its run, so that a record of the run can answer it."""
    hide = _shown(done.run)
    data = hide(done.output).encode()
    kept = data[:MOST].decode("utf-8", "ignore")
    command = hide(asked.command) if isinstance(asked.command, str) else tuple(map(hide, asked.command))
    done.run.record.note_visit(
        Visit(
            asked=asked.by,
            command=command,
            tools=asked.tools,
            fresh=asked.fresh,
            phase=asked.phase,
            greeting=asked.greeting,
            exit_code=done.exit_code,
            signal=done.signal,
            reason=None if done.reason is None else hide(done.reason),
            output=kept,
            left_out=done.left_out + max(0, len(data) - MOST),
            seconds=round(seconds, 6),
            differences=tuple(done.differences.to_dicts()),
        )
    )


def _shown(run: Run) -> Callable[[str], str]:
    """How what was asked and answered is kept: without secrets, and as text that every file can hold."""
    return lambda text: run.redactor.text(text).encode("utf-8", "backslashreplace").decode()


class Answers:
    """The answers in the record of ``run``: a question that was asked several times gets them in order, then the last.

    :meth:`answer` raises :class:`NotRecorded`, which lists what was asked, for anything else.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._visits: dict[Asked, list[Visit]] = {}
        for visit in run.record.read_visits():
            self._visits.setdefault(Asked.of(visit), []).append(visit)
        self._given: Counter[Asked] = Counter()

    def answer(self, asked: Asked, output: TextIO | None = None) -> Executed:
        """How it ended when it was asked."""
        hide = _shown(self._run)
        command = hide(asked.command) if isinstance(asked.command, str) else tuple(map(hide, asked.command))
        asked = dataclasses.replace(asked, command=command)
        asked = next((each for each in (asked, *_alike(asked)) if each in self._visits), asked)
        visits = self._visits.get(asked)
        if visits is None:
            raise self._unknown(asked)
        visit = visits[min(self._given[asked], len(visits) - 1)]
        self._given[asked] += 1
        if output is not None:
            safe = SafeText(output, self._run.redactor)
            output.write(safe.feed(visit.output.encode("utf-8", "surrogatepass")) + safe.finish())
            output.flush()
        words = (visit.command,) if isinstance(visit.command, str) else visit.command
        rows = tuple(Difference(**row) for row in visit.differences)
        return Executed(
            words, self._run, visit.exit_code, visit.signal, visit.reason, visit.output, visit.left_out,
            Diff(f"run {self._run.id}", rows), self._run.recorded,
        )  # fmt: skip

    def asked_in(self, by: Literal["exec", "shell"], phase: str | None = None) -> list[Asked]:
        """What was asked so, in the order in which it was first, what shells did by themselves included."""
        return [asked for asked in self._visits if asked.by == by and asked.phase == phase]

    def _unknown(self, asked: Asked) -> NotRecorded:
        known = [str(each) for each in self._visits if each.by == asked.by and not each.greeting]
        more = [f"... and {len(known) - _LISTED} more"] if len(known) > _LISTED else []
        where = "executed" if asked.by == "exec" else "told to a shell"
        hint = f"{where} were: " + "\n    ".join([*known[:_LISTED], *more]) if known else f"nothing was {where}"
        return NotRecorded(
            f"run {self._run.id} is a record: nothing is executed in it, and this was not then: {asked}",
            path="run", hint=hint,
        )  # fmt: skip


def _alike(asked: Asked) -> list[Asked]:
    """What says the same in other words: a text is given to a shell."""
    if asked.by == "exec" and isinstance(asked.command, str):
        return [dataclasses.replace(asked, command=(_SHELL, "-c", asked.command))]
    if asked.by == "exec" and len(asked.command) == 3 and asked.command[:2] == (_SHELL, "-c"):
        return [dataclasses.replace(asked, command=asked.command[2])]
    return []


class RecordedShell:
    """A shell in a recorded run: ``sh("command")`` gives the answer that a shell gave then, where one was asked.

    It has no state of its own: what matters is the text of the command, and how often it was asked.
    """

    def __init__(self, run: Run, answers: Answers, fresh: bool, phase: str | None, tools: tuple[str, ...]) -> None:
        self.run = run
        self._answers = answers
        self._fresh, self._phase, self._tools = fresh, phase, tools
        self._over = False
        known = answers.asked_in("shell", phase)
        if not known:
            in_phase = "" if phase is None else f", up to {phase}"
            raise NotRecorded(
                f"run {run.id} is a record, and no shell was opened in it{in_phase}", path="run",
                hint="run.exec() answers what was executed",
            )  # fmt: skip
        greeting = next((asked for asked in known if asked.greeting), None)
        self.greeting = None if greeting is None else answers.answer(greeting)
        """What running the phases before the wanted one wrote then; None without a phase."""
        self._told = [str(asked.command) for asked in known if not asked.greeting]

    @property
    def alive(self) -> bool:
        """Whether it answers."""
        return not self._over

    def __call__(self, command: str, *, timeout: float | None = None, output: TextIO | None = None) -> Executed:
        """How ``command`` ended then; ``timeout`` means nothing here. :class:`NotRecorded` when nobody asked."""
        if self._over:
            raise InvalidValue("this shell is closed", path="shell", hint="run.shell() opens another one")
        return self._answers.answer(Asked("shell", command, self._tools, self._fresh, self._phase), output)

    def close(self) -> None:
        """No more answers; idempotent."""
        self._over = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __str__(self) -> str:
        known = "\n".join(f"  {command}" for command in self._told[:_LISTED])
        said = "" if self.greeting is None else f"\n{self.greeting}"
        return f"shell in run {self.run.id}, {self.run.recorded}; it answers:\n{known}{said}"

    def __repr__(self) -> str:
        return f"<RecordedShell in run {self.run.id}: {'closed' if self._over else 'open'}, {self.run.recorded}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


register(RecordedShell, plain)
