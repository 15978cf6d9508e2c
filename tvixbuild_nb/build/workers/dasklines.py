"""A line to the workers of a Dask cluster: what they tell are events of topics, which the scheduler passes on."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import Any

from tvixbuild_nb.build.service import CancelToken
from tvixbuild_nb.build.workers.job import Answer, Message, Voice, only_result

# Seconds between two looks whether anybody still wants a task; for the scheduler to say what it knows.
_LOOK = 0.2
_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class DaskLine:
    """See :class:`Line`: events of ``topic`` by way of the scheduler, which every worker reaches."""

    topic: str

    def open(self, job: str) -> Voice:
        """The worker's end."""
        from distributed import get_worker

        return DaskVoice(self, job, get_worker())

    def ends_of(self, job: str) -> str:
        """The topic of the result of ``job`` alone."""
        return f"{self.topic}-{job}"


class DaskVoice:
    """See :class:`Voice`, inside a task. A task that nobody wants any more is what its worker calls cancelled."""

    def __init__(self, line: DaskLine, job: str, worker: Any) -> None:
        self.worker = str(worker.address)
        self._line, self._job, self._of = line, job, worker
        self._task = worker.get_current_task()
        self._over = threading.Event()

    def tell(self, message: Message) -> None:
        topics = [self._line.topic]
        # What nobody wants any more may be wanted of another worker.
        if message["told"] == "result" and message["status"] != "cancelled":
            topics.append(self._line.ends_of(self._job))
        self._of.log_event(topics, {"job": self._job, **message})

    def earlier(self) -> Answer | None:
        """See :class:`Voice`: the scheduler does the task of a lost worker again, and remembers what that one told.

        It heard all of that before it noticed the loss.
        """
        from distributed.utils import sync

        topic = self._line.ends_of(self._job)
        events: list[tuple[float, Message]] = []
        # A scheduler that does not answer now has other worries; then it is built again.
        with contextlib.suppress(OSError, TimeoutError, RuntimeError):
            events = list(sync(self._of.loop, self._of.scheduler.events, topic=topic, callback_timeout=_PATIENCE))
        for _, message in events:
            worker = message["worker"]
            return Answer(worker, message["result"], (), {}, notes=(only_result(worker),))
        return None

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
