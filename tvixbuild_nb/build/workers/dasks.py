"""The workers of a Dask cluster: jobs are its tasks, and what they tell are events of a topic."""

from __future__ import annotations

import contextlib
import secrets
import threading
import weakref
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tvixbuild_nb.build.service import CancelToken
from tvixbuild_nb.build.workers.job import Job, Line, Message, Voice
from tvixbuild_nb.build.workers.pool import Submitted
from tvixbuild_nb.build.workers.sockets import Hear
from tvixbuild_nb.build.workers.worker import build_job, cancel_job

# Seconds between two looks whether anybody still wants a task.
_LOOK = 0.2
# So many are handed over at least: a cluster that grows with its work must see some.
_LEAST = 8


@dataclass(frozen=True, slots=True)
class DaskLine:
    """See :class:`Line`: events of ``topic`` by way of the scheduler, which every worker reaches."""

    topic: str

    def open(self, job: str) -> Voice:
        """The worker's end."""
        from distributed import get_worker

        return DaskVoice(self.topic, job, get_worker())


class DaskVoice:
    """See :class:`Voice`, inside a task. A task that nobody wants any more is what its worker calls cancelled."""

    def __init__(self, topic: str, job: str, worker: Any) -> None:
        self.worker = str(worker.address)
        self._topic, self._job, self._of = topic, job, worker
        self._task = worker.get_current_task()
        self._over = threading.Event()

    def tell(self, message: Message) -> None:
        self._of.log_event(self._topic, {"job": self._job, **message})

    def obey(self, cancel: CancelToken) -> None:
        threading.Thread(target=self._look, args=(cancel,), name="wanted", daemon=True).start()

    def _look(self, cancel: CancelToken) -> None:
        while not self._over.wait(_LOOK):
            task = self._of.state.tasks.get(self._task)
            if task is None or task.state in ("cancelled", "released", "forgotten"):
                cancel.cancel()
                return

    def close(self) -> None:
        self._over.set()


class DaskPool:
    """The workers behind a Dask ``client``; ``settings`` are keywords for its ``submit``.

    ``own``: the client is closed with this.
    """

    def __init__(self, client: Any, settings: Mapping[str, Any] | None = None, *, own: bool = False) -> None:
        self._client = client
        self._own = own
        self._settings = dict(settings or {})
        self._topic = f"tvixbuild-nb-{secrets.token_hex(8)}"
        self._lock = threading.Lock()
        self._hearers: dict[str, Hear] = {}
        # Whom a job was given to, where that is not everybody.
        self._given: weakref.WeakKeyDictionary[Submitted, frozenset[str]] = weakref.WeakKeyDictionary()
        client.subscribe_topic(self._topic, self._heard)

    @property
    def address(self) -> str:
        return f"dask+{self._client.scheduler.address}"

    @property
    def slots(self) -> int:
        threads: dict[str, int] = self._client.nthreads()
        # One more for each, so that none waits for the next.
        return max(_LEAST, sum(threads.values()) + len(threads))

    @property
    def line(self) -> Line:
        return DaskLine(self._topic)

    def hear(self, job: str, hear: Hear) -> None:
        with self._lock:
            self._hearers[job] = hear

    def forget(self, job: str) -> None:
        with self._lock:
            self._hearers.pop(job, None)

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
        if worker is not None:
            # A cluster may raise anything when that worker is gone: then nobody wants the task.
            with contextlib.suppress(Exception):
                self._client.run(cancel_job, job, workers=[worker])
                return
        # Who begins it at this moment sees that nobody wants it.
        future.cancel()

    def stuck(self, unfit: Collection[str], future: Submitted) -> bool:
        """See :class:`Pool`: those it was given to may all be gone by now."""
        given = self._given.get(future)
        return given is not None and not given & set(self._client.nthreads())

    def is_loss(self, error: BaseException) -> bool:
        from distributed import KilledWorker

        return isinstance(error, KilledWorker)

    def close(self) -> None:
        """Hear no more; whose client it is closes it."""
        with contextlib.suppress(ValueError):
            self._client.unsubscribe_topic(self._topic)
        if self._own:
            self._client.close()
