"""Many: builds that go on together; results in order and as completed, the table of all, and how to stop them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from queue import SimpleQueue
from typing import Any, Self, overload

from tvixbuild_nb.build import BuildResult
from tvixbuild_nb.build.workers import Unfit
from tvixbuild_nb.castore import Digest
from tvixbuild_nb.display import Presented, mimebundle, present
from tvixbuild_nb.errors import InvalidValue
from tvixbuild_nb.sandbox.many.crew import Crew
from tvixbuild_nb.sandbox.many.entry import Entry, ManyRow, State
from tvixbuild_nb.sandbox.many.text import many_lines
from tvixbuild_nb.sandbox.many.watching import watched
from tvixbuild_nb.sandbox.run import Run

_STATES: tuple[State, ...] = ("succeeded", "failed", "timed-out", "cancelled", "building", "waiting")


class Many(Sequence[BuildResult]):
    """Builds that :func:`build_many` started together: a sequence of their results, in the order of the requests.

    Asking for a result waits for it. A build that fails is a result like any other and ends none of the others;
    requests for the same build have the same result. What a service raises without meaning to, whoever asks for that
    result gets. Displayed in a notebook it is the table of all, with buttons that stop one or all.
    """

    def __init__(self, entries: Sequence[Entry], crew: Crew) -> None:
        self._entries = tuple(entries)
        self._crew = crew
        self.interrupted = False
        """Whether Ctrl-C ended a wait, and so the builds."""
        numbered = {number: entry for entry in entries for number in entry.wanted.numbers}
        self._in_order = [numbered[number] for number in sorted(numbered)]

    # -- results ----------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._in_order)

    @overload
    def __getitem__(self, index: int) -> BuildResult: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[BuildResult]: ...
    def __getitem__(self, index: int | slice) -> BuildResult | Sequence[BuildResult]:
        found = self._in_order[index]
        return _awaited(found) if isinstance(found, Entry) else [_awaited(each) for each in found]

    @property
    def results(self) -> list[BuildResult]:
        """All of them, in the order of the requests; waits, and Ctrl-C cancels what goes on."""
        self.wait(show=False)
        return list(self)

    def as_completed(self) -> Iterator[tuple[int, BuildResult]]:
        """Position of the request and result, as they come; of several requests for one build one after another."""
        ended: SimpleQueue[Entry] = SimpleQueue()
        self._crew.tell_ends(ended.put)
        for _ in self._entries:
            entry = ended.get()
            for number in entry.wanted.numbers:
                yield number, _awaited(entry)

    def run(self, index: int) -> Run | None:
        """The run that answers the request at ``index``; None before it was begun."""
        return self._in_order[index].run

    @property
    def runs(self) -> list[Run | None]:
        """The runs, in the order of the requests; those of requests for the same build are the same."""
        return [entry.run for entry in self._in_order]

    # -- as it goes on ----------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Whether there is nothing to wait for any more."""
        return self._crew.over.is_set()

    @property
    def ok(self) -> bool:
        """Whether all are over and succeeded."""
        return self.over and all(entry.result is not None and entry.result.ok for entry in self._entries)

    def rows(self) -> tuple[ManyRow, ...]:
        """One row for each build, in the order in which they were first asked for."""
        return tuple(entry.row() for entry in self._entries)

    @property
    def unfit(self) -> Mapping[str, Unfit]:
        """The workers that cannot build and get nothing, each with why and what its ``doctor()`` found."""
        return self._crew.unfit

    def wait(self, timeout: float | None = None, *, show: bool = True) -> Self:
        """Until all are over; TimeoutError after ``timeout`` seconds (they go on).

        ``show``: the table meanwhile, in a notebook as a view, on a terminal as a table that follows, else a line for
        each that is over. Ctrl-C or the notebook's stop button cancels them and waits for their ends; a second one
        interrupts the waiting itself.
        """
        shown: Presented | None = None
        try:
            shown = present(self) if show else None
            with watched(self, show and shown is None):
                self._wait(timeout)
        except KeyboardInterrupt:
            self.interrupted = True
            self.cancel()
            self._crew.over.wait()
        finally:
            if shown is not None:
                shown.finish()
        return self

    def _wait(self, timeout: float | None) -> None:
        if not self._crew.over.wait(timeout):
            raise TimeoutError(f"{self.counts()} after {timeout} s")

    def cancel(self, which: int | Digest | str | None = None) -> None:
        """End all of them, or the build of one request: its position, or the request's digest (in hex).

        Returns at once; nothing happens to what is over. A build is ended for every request that asked for it, and for
        a digest every build of that request, with whatever options.
        """
        self._crew.cancel(self._entries if which is None else self._named(which))

    def _named(self, which: int | Digest | str) -> list[Entry]:
        if isinstance(which, int):
            if -len(self) <= which < len(self):
                return [self._in_order[which]]
            raise InvalidValue(f"there are {len(self)} requests, none at {which}", path="which")
        found = [entry for entry in self._entries if str(entry.digest) == str(which)]
        if not found:
            raise InvalidValue(f"no request has the digest {which}", path="which", hint="str(request.digest)")
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Wait for all; what is raised in the block cancels them first."""
        if kind is not None:
            self.cancel()
        self._crew.over.wait()

    # -- how it looks -----------------------------------------------------------------------------

    def counts(self) -> str:
        """``3 succeeded, 1 building``: how many builds are in which state, and how many requests they answer."""
        states = Counter(entry.state for entry in self._entries)
        told = ", ".join(f"{states[state]} {state}" for state in _STATES if states[state]) or "nothing to build"
        same = len(self) - len(self._entries)
        return f"{told}; {same} of {len(self)} requests are for the same builds" if same else told

    def __str__(self) -> str:
        return "\n".join(many_lines(self.counts(), self.rows(), self.unfit.values()))

    def __repr__(self) -> str:
        return f"<Many builds: {self.counts()}>"

    def _ipython_display_(self) -> None:
        """IPython calls this first: what goes on is shown live, and its display ends as it does."""
        shown = None if self.over else present(self)
        if shown is None:
            raise NotImplementedError("there is a display bundle")
        threading.Thread(target=self._finish, args=(shown,), name="display of many builds", daemon=True).start()

    def _finish(self, shown: Presented) -> None:
        self._crew.over.wait()
        shown.finish()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


def _awaited(entry: Entry) -> BuildResult:
    entry.done.wait()
    if entry.fault is not None:
        raise entry.fault
    assert entry.result is not None, "it ended with one of the two"
    return entry.result
