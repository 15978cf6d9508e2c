"""When a build has run for too long, or has said nothing for too long."""

from __future__ import annotations

import math
import time


class Deadlines:
    """``timeout`` seconds in all, from now on, and ``silent`` seconds without output; None: for ever.

    Silence counts from :meth:`listen` on: a sandbox that is being set up has nothing to say.
    """

    def __init__(self, timeout: float | None, silent: float | None) -> None:
        self._silent = math.inf if silent is None else silent
        self._end = math.inf if timeout is None else time.monotonic() + timeout
        self._quiet = math.inf

    def listen(self) -> None:
        """From now on, or from now on again, silence counts."""
        self._quiet = time.monotonic() + self._silent

    def left(self) -> float:
        """Seconds until the first of them, infinite when there is none."""
        return max(0.0, min(self._end, self._quiet) - time.monotonic())

    def passed(self) -> str | None:
        """``timed-out`` or ``silent``, as a reason to stop; None while there is time."""
        now = time.monotonic()
        if now >= self._end:
            return "timed-out"
        return "silent" if now >= self._quiet else None
