"""Records of runs that go home: on the worker they exist while it builds; what a killed worker left is swept."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tvixbuild_nb.build import locks
from tvixbuild_nb.build.record import RunRecord, state_directory


@contextmanager
def transient_record() -> Iterator[RunRecord]:
    """A record for one build, held and gone after the block; those of processes that died go as well."""
    home = state_directory() / "jobs"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as held:
        with _alone(home):
            for left in RunRecord.all(home):
                if not left.is_running():
                    left.delete()
            record = RunRecord.create(home)
            held.enter_context(record.held())
        try:
            yield record
        finally:
            with _alone(home):
                held.close()
                record.delete()


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """A record that is not held, yet or any more, looks like a dead process's: nobody else sweeps meanwhile."""
    while (fd := locks.take(home / "lock")) is None:
        time.sleep(0.002)
    try:
        yield
    finally:
        os.close(fd)
