"""The workers of a Dask cluster: jobs are its tasks, and what they tell are events of a topic."""

from __future__ import annotations

import contextlib
import secrets
import threading
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from tvixbuild_nb.build.workers.dasklines import DaskLine
from tvixbuild_nb.build.workers.exchange import Hear
from tvixbuild_nb.build.workers.job import Job, Message
from tvixbuild_nb.build.workers.pool import Submitted
from tvixbuild_nb.build.workers.worker import build_job, cancel_job

# So many are handed over at least: a cluster that grows with its work must see some.
_LEAST = 8
# Jobs that are over, of which the scheduler is told together; seconds for it to hear of the last ones.
_TOGETHER = 64
_PATIENCE = 5.0


class DaskPool:
    """The workers behind a Dask ``client``; ``settings`` are keywords for its ``submit``.

    ``own``: the client is closed with this.
    """

    forks = False

    def __init__(self, client: Any, settings: Mapping[str, Any] | None = None, *, own: bool = False) -> None:
        self._client = client
        self._own = own
        self._settings = dict(settings or {})
        self.line = DaskLine(f"tvixbuild-nb-{secrets.token_hex(8)}")
        self._threads: dict[str, int] = {}
        # Jobs that are over and whose results the scheduler still has.
        self._over: list[str] = []
        self._lock = threading.Lock()
        self._hearers: dict[str, Hear] = {}
        # Whom a job was given to, where that is not everybody.
        self._given: weakref.WeakKeyDictionary[Submitted, frozenset[str]] = weakref.WeakKeyDictionary()
        client.subscribe_topic(self.line.topic, self._heard)

    @property
    def address(self) -> str:
        return f"dask+{self._client.scheduler.address}"

    @property
    def slots(self) -> int:
        # A cluster that may raise anything, since it does not answer, has what it had.
        with contextlib.suppress(Exception):
            self._threads = self._client.nthreads()
        # One more for each, so that none waits for the next.
        return max(_LEAST, sum(self._threads.values()) + len(self._threads))

    def hear(self, job: str, hear: Hear) -> None:
        with self._lock:
            self._hearers[job] = hear

    def forget(self, job: str) -> None:
        with self._lock:
            self._hearers.pop(job, None)
            self._over.append(job)
            over = self._over if len(self._over) >= _TOGETHER else []
            if over:
                self._over = []
        if over:
            self._clear(over)

    def _heard(self, event: tuple[float, Message]) -> None:
        _, message = event
        with self._lock:
            hear = self._hearers.get(message["job"])
        if hear is not None:
            hear(message)

    def submit(self, job: Job, unfit: Collection[str]) -> Submitted:
        """See :class:`Pool`."""
        settings: dict[str, Any] = {"key": f"tvixbuild-nb-{job.key}", "pure": False, **self._settings}
        if unfit:
            settings["workers"] = self._others(unfit)
            if not settings["workers"]:
                raise LookupError("none of the cluster's workers")
        key = settings.pop("key")
        future: Submitted = self._client.get_executor(**settings).submit(build_job, job, key=key)
        if unfit:
            self._given[future] = frozenset(settings["workers"])
        return future

    def _others(self, unfit: Collection[str]) -> list[str]:
        wanted = self._settings.get("workers")
        return sorted(worker for worker in self._client.nthreads(wanted) if worker not in unfit)

    def cancel(self, job: str, future: Submitted, worker: str | None) -> None:
        def ask() -> None:
            # A cluster may raise anything when that worker is gone: then nobody wants the task.
            try:
                self._client.run(cancel_job, job, workers=[worker])
            except Exception:
                future.cancel()

        if worker is None:
            # Who begins it at this moment sees that nobody wants it.
            future.cancel()
        else:
            # A worker that hangs answers never, and its builds have a limit for their ends.
            _aside(ask)

    def stuck(self, unfit: Collection[str], future: Submitted) -> bool:
        """See :class:`Pool`: those it was given to may all be gone by now."""
        given = self._given.get(future)
        return given is not None and not given & set(self._client.nthreads())

    def is_loss(self, error: BaseException) -> bool:
        from distributed import KilledWorker

        return isinstance(error, KilledWorker)

    def close(self) -> None:
        """Hear no more, and leave nothing at the scheduler; whose client it is closes it."""
        with contextlib.suppress(ValueError):
            self._client.unsubscribe_topic(self.line.topic)
        self._clear(None).join(_PATIENCE)
        if self._own:
            self._client.close()

    def _clear(self, jobs: Sequence[str] | None) -> threading.Thread:
        """Have the scheduler forget what was told of ``jobs`` alone, None for all that ever was told."""
        topics = None if jobs is None else [self.line.ends_of(job) for job in jobs]
        forget = _forgetting(self.line.topic, topics)

        def ask() -> None:
            # Nothing depends on it: one that does not answer, or keeps events in another way, keeps them.
            with contextlib.suppress(Exception):
                self._client.run_on_scheduler(forget)

        return _aside(ask)


def _aside(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, name="dask", daemon=True)
    thread.start()
    return thread


def _forgetting(prefix: str, topics: Sequence[str] | None) -> Callable[[Any], None]:
    """What removes topics from a scheduler, which has no call for it and keeps a thousand events of each for ever.

    A function within another one travels as a whole: schedulers need not have this package.
    """

    def forget(dask_scheduler: Any) -> None:
        known = dask_scheduler._broker._topics
        for topic in [name for name in known if name.startswith(prefix)] if topics is None else topics:
            known.pop(topic, None)

    return forget
