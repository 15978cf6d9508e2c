"""A Pool of workers as a build service needs it, and the one made of any ``concurrent.futures`` executor."""

from __future__ import annotations

import threading
from collections.abc import Collection
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from typing import Any, Protocol

from tvixbuild_nb.build.workers.exchange import Hear, SocketExchange
from tvixbuild_nb.build.workers.job import Answer, Job, Line, Unfit
from tvixbuild_nb.build.workers.worker import build_job

Submitted = Future[Answer | Unfit]
# As much as is handed over to an executor that does not say how many workers it has; the rest waits here.
_MANY = 64


class Pool(Protocol):
    """Workers that take jobs. Safe for several threads."""

    @property
    def address(self) -> str:
        """What they are called together."""
        ...

    @property
    def slots(self) -> int:
        """How many jobs are worth being handed over at a time."""
        ...

    @property
    def forks(self) -> bool:
        """Whether its workers are forks of this process, and begin with what it had in memory."""
        ...

    @property
    def line(self) -> Line: ...
    def hear(self, job: str, hear: Hear) -> None: ...
    def forget(self, job: str) -> None: ...
    def submit(self, job: Job, unfit: Collection[str]) -> Submitted:
        """Hand it over, to none of the workers called ``unfit`` where that can be had.

        :class:`LookupError` when these are all there are.
        """
        ...

    def cancel(self, job: str, future: Submitted, worker: str | None) -> None:
        """End it, whether it has begun or not; ``worker``: the one who said that it has."""
        ...

    def stuck(self, unfit: Collection[str], future: Submitted) -> bool:
        """Whether nobody will ever take what was handed over."""
        ...

    def is_loss(self, error: BaseException) -> bool:
        """Whether a job that ended so may be tried again elsewhere: its worker is gone."""
        ...

    def close(self) -> None: ...


class ExecutorPool:
    """The workers of an executor on this host, or wherever it has them.

    A process pool breaks as a whole when one of its processes dies; another one of the same kind takes its place then,
    which :meth:`close` ends. The executor itself is the caller's.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor: Any = executor
        # The standard library's pools and those made like them have it; others say nothing of their workers.
        self._workers: int | None = getattr(executor, "_max_workers", None)
        self._lock = threading.Lock()
        self._exchange = SocketExchange()
        self._replaced = False

    @property
    def address(self) -> str:
        return f"{type(self._executor).__name__}:"

    @property
    def slots(self) -> int:
        return self._workers or _MANY

    @property
    def forks(self) -> bool:
        if not isinstance(self._executor, ProcessPoolExecutor):
            return False
        settings: Any = self._executor
        return bool(settings._mp_context.get_start_method() == "fork")

    @property
    def line(self) -> Line:
        return self._exchange.line

    def hear(self, job: str, hear: Hear) -> None:
        self._exchange.hear(job, hear)

    def forget(self, job: str) -> None:
        self._exchange.forget(job)

    def submit(self, job: Job, unfit: Collection[str]) -> Submitted:
        """Hand it over; :class:`LookupError` when as many workers as there are, where that is known, cannot build."""
        if self._workers is not None and len(unfit) >= self._workers:
            raise LookupError(f"none of {len(unfit)} workers")
        with self._lock:
            try:
                submitted: Submitted = self._executor.submit(build_job, job)
            except BrokenExecutor:
                self._replace()
                submitted = self._executor.submit(build_job, job)
            return submitted

    def _replace(self) -> None:
        """Another pool of the same kind; what broke the one there was is raised where nobody knows how it was made."""
        broken = self._executor
        if not isinstance(broken, ProcessPoolExecutor):
            raise
        settings: Any = broken
        self._executor = ProcessPoolExecutor(
            settings._max_workers, settings._mp_context, settings._initializer, settings._initargs
        )
        if self._replaced:
            broken.shutdown(wait=False)
        self._replaced = True

    def cancel(self, job: str, future: Submitted, worker: str | None) -> None:
        if not self._exchange.cancel(job):
            future.cancel()

    def stuck(self, unfit: Collection[str], future: Submitted) -> bool:
        return False

    def is_loss(self, error: BaseException) -> bool:
        return isinstance(error, BrokenExecutor)

    def close(self) -> None:
        """End what was put in the executor's place, and hear no more."""
        if self._replaced:
            self._executor.shutdown(wait=True, cancel_futures=True)
        self._exchange.close()
