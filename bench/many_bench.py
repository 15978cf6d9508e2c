"""What build_many() costs beside sb.run() in a loop: 200 trivial builds in this process, and on workers."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

# In so many rounds, so that a slow minute hits all ways alike.
BUILDS, ROUNDS = 200, 2


def _sandboxes(round_: int) -> list[Any]:
    from tvixbuild_nb import Sandbox

    # No two are the same request: that would be built once.
    return [Sandbox(f"true {round_} {n} > /nix/store/out", outputs=["nix/store/out"]) for n in range(BUILDS // ROUNDS)]


def _loop(round_: int) -> float:
    sandboxes = _sandboxes(round_)
    clock = time.perf_counter()
    for sandbox in sandboxes:
        assert sandbox.run(show=False).ok
    return (time.perf_counter() - clock) / (BUILDS // ROUNDS)


def _many(round_: int, executor: Any = None, **how: Any) -> float:
    from tvixbuild_nb import build_many

    requests = [sandbox.request for sandbox in _sandboxes(round_)]
    clock = time.perf_counter()
    many = build_many(requests, executor, **how)
    many.wait(show=False)
    assert many.ok, str(many)
    return (time.perf_counter() - clock) / (BUILDS // ROUNDS)


@contextmanager
def _cluster() -> Iterator[Any]:
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        yield client


def rows() -> list[tuple[str, float]]:
    """What, and seconds for each build."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home:
        os.environ["TVIXBUILD_NB_STORE"] = f"{home}/store"
        os.environ["TVIXBUILD_NB_STATE"] = f"{home}/state"
        with ProcessPoolExecutor(2) as pool, ThreadPoolExecutor(2) as threads, _cluster() as cluster:
            ways = {
                "sb.run() in a loop": _loop,
                "build_many, one at a time (jobs=1)": lambda number: _many(number, jobs=1),
                "build_many, two at a time (the default)": _many,
                "build_many, ThreadPoolExecutor(2)": lambda number: _many(number, threads),
                "build_many, ProcessPoolExecutor(2)": lambda number: _many(number, pool),
                "build_many, Dask, 2 workers": lambda number: _many(number, cluster),
            }
            samples: dict[str, list[float]] = {name: [] for name in ways}
            for round_ in range(ROUNDS):
                for at, (name, way) in enumerate(ways.items()):
                    samples[name].append(way(round_ * len(ways) + at))
    return [(name, statistics.fmean(times)) for name, times in samples.items()]


def main() -> int:
    found = rows()
    beside = found[0][1]
    print(f"{BUILDS} trivial builds, milliseconds for each, and beside the first")
    for name, seconds in found:
        print(f"  {name:<42}{seconds * 1000:8.1f} ms {seconds / beside:8.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
