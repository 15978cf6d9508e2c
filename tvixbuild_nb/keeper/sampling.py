"""What a build uses while it goes on: sampled twice a second into a file of its record, for whoever looks.

The first sample comes after half a second: a build that is over by then pays nothing for it.
"""

from __future__ import annotations

import json
import math
import os
import time
from typing import Any

from tvixbuild_nb.keeper.cgroups import BuildCgroup
from tvixbuild_nb.keeper.inspect import other_processes

INTERVAL = 0.5
# In /proc/PID/stat behind the name: user and system time of the process, of its children that were waited for; memory.
_TIMES, _RESIDENT = slice(11, 15), 21


class Sampler:
    """Writes ``path`` anew every ``interval`` seconds, complete each time; at a full disk no more.

    Keys: ``time`` (seconds since the epoch), ``cpu`` (seconds), ``load`` (CPUs in use since the sample before),
    ``memory`` and ``peak_memory`` (bytes), ``pids``, ``source``. A build without a ``cgroup`` is measured by its
    processes' own figures (source ``processes``): memory they share counts for each, the peak is the largest sample.
    """

    def __init__(self, path: str, cgroup: BuildCgroup | None, interval: float = INTERVAL) -> None:
        self._path = path
        self._cgroup = cgroup
        self._interval = interval
        self._next = time.monotonic() + interval
        self._before: tuple[float, float] | None = None
        self._peak = 0

    def left(self) -> float:
        """Seconds until the next sample is due; infinite when there will be none."""
        return max(0.0, self._next - time.monotonic())

    def take(self, init: int) -> None:
        """Sample now if it is due; ``init`` is the build's first process."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self._interval
        figures = self._from_processes(init) if self._cgroup is None else self._cgroup.now()
        cpu = figures.get("cpu")
        if cpu is not None:
            if self._before is not None:
                seconds, used = self._before
                figures["load"] = round(max(0.0, cpu - used) / (now - seconds), 3)
            self._before = (now, cpu)
        source = "processes" if self._cgroup is None else "cgroup"
        try:
            self._write(json.dumps({"time": time.time(), "source": source, **figures}))
        except OSError:
            # The verdict needs the room more; what is there stays.
            self._next = math.inf

    def _write(self, text: str) -> None:
        beside = f"{self._path}.next"
        with open(beside, "w", encoding="ascii") as file:
            file.write(text)
        os.rename(beside, self._path)

    def _from_processes(self, init: int) -> dict[str, Any]:
        cpu = memory = pids = 0
        for pid in (init, *other_processes(init)):
            try:
                with open(f"/proc/{pid}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended just now
            cpu += sum(map(int, fields[_TIMES]))
            memory += int(fields[_RESIDENT])
            pids += 1
        memory *= os.sysconf("SC_PAGE_SIZE")
        self._peak = max(self._peak, memory)
        return {"cpu": cpu / os.sysconf("SC_CLK_TCK"), "memory": memory, "peak_memory": self._peak, "pids": pids}
