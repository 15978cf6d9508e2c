"""Several notebooks at once: a loop in a thread of its own, so that it works under a notebook's cell as well."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from tvixbuild_nb.errors import InvalidValue

Result = TypeVar("Result")
Work = Callable[[], Coroutine[Any, Any, Result]]

# More kernels than this at once only wait for one another's builds.
_MOST = 4


def default_jobs() -> int:
    return max(1, min(_MOST, os.cpu_count() or 1))


def all_of(works: Sequence[Work[Result]], jobs: int) -> list[Result]:
    """The results of ``works`` in their order, at most ``jobs`` going on at once.

    An interrupt (Ctrl-C, the stop button) cancels all of them, waits until they have cleaned up, and goes on to the
    caller.
    """
    if jobs < 1:
        raise InvalidValue(f"a number from 1 on, not {jobs}", path="jobs")
    loop = asyncio.new_event_loop()
    started: list[asyncio.Task[list[Result]]] = []
    ready = threading.Event()
    outcome: list[list[Result] | BaseException] = []

    async def everything() -> list[Result]:
        room = asyncio.Semaphore(jobs)

        async def one(work: Work[Result]) -> Result:
            async with room:
                return await work()

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(work)) for work in works]
        return [task.result() for task in tasks]

    def run() -> None:
        try:
            task = loop.create_task(everything())
            started.append(task)
            ready.set()
            outcome.append(loop.run_until_complete(task))
        except BaseException as error:
            outcome.append(error)
        finally:
            loop.close()

    thread = threading.Thread(target=run, name="notebooks")
    thread.start()
    ready.wait()
    try:
        _wait(thread)
    except KeyboardInterrupt:
        if thread.is_alive():
            loop.call_soon_threadsafe(started[0].cancel)
        _wait(thread)
        raise
    (found,) = outcome
    if isinstance(found, BaseExceptionGroup):
        raise found.exceptions[0]
    if isinstance(found, BaseException):
        raise found
    return found


def _wait(thread: threading.Thread) -> None:
    while thread.is_alive():
        thread.join(0.2)
