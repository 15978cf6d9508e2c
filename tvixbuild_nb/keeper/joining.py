"""The kernel's wait before a process may join a cgroup, spent beside other work.

Whoever joins a cgroup first waits until every CPU has noticed (a grace period: 5 to 16 ms on small virtual
machines); who comes right after somebody else does not. A runtime joins in the middle of its start, when nobody
else has anything to do. So the keeper joins, again and again, the cgroup that it is in already, from the moment a
build is known until its runtime is done; that moves nobody and costs some fifty microseconds each time.
"""

from __future__ import annotations

import contextlib
import os
import threading

from tvixbuild_nb.keeper.cgroups import Hierarchies, hierarchies

# Seconds. The kernel forgets about one grace period after the last one joined.
INTERVAL = 0.003


def own_procs_file(where: Hierarchies, membership: str) -> str | None:
    """The ``cgroup.procs`` of the cgroup that a process is in; None where no hierarchy is mounted.

    ``membership`` is the text of its /proc/PID/cgroup. All hierarchies share the lock in question, so any will do.
    """
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        base = where.v1.get(controllers.split(",")[0]) if controllers else where.v2
        if base is not None:
            return os.path.join(base, path.lstrip("/"), "cgroup.procs")
    return None


class JoinAhead:
    """From its making until :meth:`end`, others join cgroups without waiting; where it cannot, nothing happens."""

    def __init__(self) -> None:
        self._over = threading.Event()
        with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            path = own_procs_file(hierarchies(), file.read())
        if path is not None:
            threading.Thread(target=_join, args=(path, self._over), daemon=True).start()

    def end(self) -> None:
        """Let it be; the thread ends a moment later, and nobody waits for that. Idempotent."""
        self._over.set()


def _join(path: str, over: threading.Event) -> None:
    # Refused (not writable, not visible from here): builds start all the same, only later.
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            while not over.is_set():
                os.write(fd, b"0")
                over.wait(INTERVAL)
        finally:
            os.close(fd)
