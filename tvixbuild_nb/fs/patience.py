"""Whether it pays to wait awake for the next request, learned from the last ones.

A process that sleeps has to be woken: where that means starting an idle processor (80 microseconds on
some virtual machines), it costs more than the request itself, and more processor time, too. Nothing is
gained where the client needs the same processor, or thinks for long between two requests.
"""

from __future__ import annotations

# Nanoseconds: longer than a client needs between two requests of one burst, its own waking-up included.
AWAKE = 200_000
# So many waits in vain on end, and the next are slept through; ever more of them, up to a bound.
FAILURES = 3
MOST_SLEEPS = 256


class Patience:
    """How long the next wait is spent awake; told how it ended. Pure: the clock is its user's."""

    __slots__ = ("_failures", "_sleeps")

    def __init__(self) -> None:
        self._failures = 0
        self._sleeps = 0

    def wait(self) -> int:
        """Nanoseconds to stay awake; 0 is to sleep at once."""
        if self._sleeps:
            self._sleeps -= 1
            return 0
        return AWAKE

    def rewarded(self) -> None:
        """The request came while awake."""
        self._failures = 0

    def disappointed(self) -> None:
        """It did not, in all the time that :meth:`wait` gave."""
        self._failures += 1
        if self._failures >= FAILURES:
            self._sleeps = min(MOST_SLEEPS, 1 << self._failures)
