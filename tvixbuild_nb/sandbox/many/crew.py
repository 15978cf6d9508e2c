"""Crew: the threads that see builds through, one at a time each; each build is a run, as any other."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future

from tvixbuild_nb.build import BuildContext, BuildPolicy, BuildResult, BuildService, RunRecord
from tvixbuild_nb.build.workers import RefusalsAsResults, Unfit, WorkersBuildService
from tvixbuild_nb.sandbox.many.entry import Entry
from tvixbuild_nb.sandbox.run import Run

Ended = Callable[[Entry], object]
# Seconds between two looks whether there are more workers than before.
_LOOK = 2.0


class Crew:
    """Builds ``entries`` with ``service``: on ``jobs()`` threads of its own, or on those of a thread ``executor``.

    ``policy`` says how, the options of each entry apart. ``close`` is called when all are over.
    """

    def __init__(
        self, entries: Sequence[Entry], service: BuildService, policy: Callable[[Entry], BuildPolicy],
        close: Callable[[], None] | None,
    ) -> None:  # fmt: skip
        self.over = threading.Event()
        self._service = service
        self._policy = policy
        self._close = close
        self._waiting = deque(entries)
        self._left = len(entries)
        self._threads = 0
        self._lock = threading.Lock()
        self._ended: list[Entry] = []
        self._hearers: list[Ended] = []
        if not entries:
            self._finish()

    def begin(self, jobs: Callable[[], int], executor: Executor | None) -> None:
        """Start; ``jobs`` is asked again as long as some wait, since workers may become more."""
        if executor is not None:
            for _ in range(len(self._waiting)):
                executor.submit(self._next).add_done_callback(self._dropped)
            return
        if self._man(jobs()):
            threading.Thread(target=self._look_for_more, args=(jobs,), name="builds", daemon=True).start()

    def _man(self, jobs: int) -> bool:
        """Have as many threads as that, where there is work for them; whether some still have to wait."""
        with self._lock:
            lacking = min(jobs - self._threads, len(self._waiting))
            self._threads += max(0, lacking)
            number = self._threads
            more = len(self._waiting) > max(0, lacking)
        for each in range(number - max(0, lacking), number):
            threading.Thread(target=self._go, name=f"builds {each}", daemon=True).start()
        return more

    def _look_for_more(self, jobs: Callable[[], int]) -> None:
        while not self.over.wait(_LOOK) and self._man(jobs()):
            continue

    @property
    def unfit(self) -> Mapping[str, Unfit]:
        """See :class:`WorkersBuildService`; empty where no worker is asked."""
        return self._service.unfit if isinstance(self._service, WorkersBuildService) else {}

    def cancel(self, entries: Iterable[Entry]) -> None:
        """End them; those that nobody has begun are over without waiting for their turn."""
        for entry in entries:
            entry.cancel.cancel()
        with self._lock:
            asked = [entry for entry in self._waiting if entry.cancel.asked]
            self._waiting = deque(entry for entry in self._waiting if not entry.cancel.asked)
        if asked:
            threading.Thread(target=self._end, args=(asked,), name="cancelled builds", daemon=True).start()

    def tell_ends(self, hear: Ended) -> None:
        """Call ``hear`` with each entry that is over, those that are already included."""
        with self._lock:
            before = list(self._ended)
            self._hearers.append(hear)
            for entry in before:
                hear(entry)

    def _go(self) -> None:
        while self._next():
            continue

    def _dropped(self, turn: Future[bool]) -> None:
        # Who shuts the executor down does not want the rest.
        if turn.cancelled():
            self._next(wanted=False)

    def _next(self, *, wanted: bool = True) -> bool:
        """Build the next one, or let it be over; whether there was one."""
        with self._lock:
            if not self._waiting:
                return False
            entry = self._waiting.popleft()
        if not wanted:
            entry.cancel.cancel()
        self._see_through(entry)
        return True

    def _end(self, cancelled: Iterable[Entry]) -> None:
        for entry in cancelled:
            self._see_through(entry)

    def _see_through(self, entry: Entry) -> None:
        try:
            entry.end(self._built(entry))
        except BaseException as fault:
            entry.end(None, fault)
        with self._lock:
            self._ended.append(entry)
            self._left -= 1
            last = not self._left
            for hear in self._hearers:
                hear(entry)
        if last:
            self._finish()

    def _built(self, entry: Entry) -> BuildResult | None:
        wanted = entry.wanted
        record = RunRecord.create()
        if wanted.secrets:
            record.write_secrets(wanted.secrets)
        context = BuildContext(record, self._policy(entry), entry.cancel, heard=entry.heard, sent=entry.sent)
        service = self._service if wanted.checked is None else wanted.checked(self._service)
        entry.run = Run.begin(RefusalsAsResults(service), wanted.request, context)
        entry.run.follow(None)
        return entry.run.result

    def _finish(self) -> None:
        try:
            if self._close is not None:
                self._close()
        finally:
            self.over.set()
