"""Which processors a container may use, and so counts: set between its creation and its start."""

from __future__ import annotations

import os


def limit_processors(pid: int, count: int) -> str | None:
    """Leave ``pid``, and what it starts, the first ``count`` of its processors; why they are what they were, or None.

    The runtime's own affinity would not do: newer runc gives containers all processors whatever it has itself.
    """
    try:
        here = sorted(os.sched_getaffinity(pid))
        if len(here) <= count:
            return f"there are no more than {len(here)} here"
        for thread in map(int, os.listdir(f"/proc/{pid}/task")):
            os.sched_setaffinity(thread, here[:count])
    except OSError as error:
        return error.strerror
    return None
