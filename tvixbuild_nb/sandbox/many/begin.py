"""build_many(): from requests and an executor to builds that go on."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from tvixbuild_nb.build import BuildPolicy, BuildService, Inputs, Keep
from tvixbuild_nb.build.workers import WorkersBuildService
from tvixbuild_nb.castore import Castore
from tvixbuild_nb.errors import InvalidValue
from tvixbuild_nb.oci import SpecOptions
from tvixbuild_nb.sandbox.many.crew import Crew
from tvixbuild_nb.sandbox.many.entry import Entry
from tvixbuild_nb.sandbox.many.many import Many
from tvixbuild_nb.sandbox.many.wanted import Asked, wanted
from tvixbuild_nb.sandbox.services import BUILDER_VARIABLE, elsewhere, shared_builder, shared_store


def build_many(
    requests: Iterable[Asked],
    executor: Any = None,
    *,
    builder: BuildService | str | None = None,
    builder_store: Castore | str | None = None,
    store: Castore | str | None = None,
    runtime: str | None = None,
    options: SpecOptions | None = None,
    jobs: int | None = None,
    timeout: float | None = None,
    silent_timeout: float | None = None,
    keep: Keep = "failure",
    inputs: Inputs = "auto",
    strict: bool = False,
    observe: bool = False,
    trace: bool = True,
) -> Many:
    """Start many builds and return at once: their results by position, as completed, as a table.

    Parameters:

    - ``requests``: BuildRequests or Sandboxes (their request, options and secrets). The same one twice is built once.
    - ``executor``: who builds. None: threads here, as many as the build service runs at once, or ``jobs``. A
      ``ThreadPoolExecutor``: its threads. Any other with ``submit`` as concurrent.futures has it, and a Dask ``Client``
      or ``ClientExecutor``: its workers; see :class:`WorkersBuildService` for what goes there and what does not.
    - ``builder``: a BuildService or an address; on workers the address that each of them opens.
    - ``builder_store``: the store of a builder elsewhere (a Castore or an address), where it is not at its own address.
    - ``store``: a Castore or an address; workers open it by its address, so that one in memory is refused.
    - ``options``: how requests are rendered; None: what the host that builds needs. The rest: :class:`BuildPolicy`.

    Each build is a run, recorded here. What a host refuses fails at setup. Raises :class:`InvalidValue` and
    :class:`InvalidAddress` before anything is started.
    """
    policy = BuildPolicy(
        timeout=timeout, silent_timeout=silent_timeout, keep=keep, inputs=inputs, strict=strict, observe=observe,
        trace=trace, options=options,
    )  # fmt: skip
    if jobs is not None and (isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1):
        raise InvalidValue(f"at least one build at a time, not {jobs!r}", path="jobs")
    castore = store if isinstance(store, Castore) else shared_store(store)
    entries = [Entry(each) for each in wanted(requests, castore)]
    here = executor is None or isinstance(executor, ThreadPoolExecutor)
    begin = _local if here else partial(_at_workers, executor)
    service = begin(builder, builder_store, castore, runtime)

    def policy_of(entry: Entry) -> BuildPolicy:
        return policy if entry.wanted.options is None else replace(policy, options=entry.wanted.options)

    crew = Crew(entries, service, policy_of, None if here else service.close)
    crew.begin(partial(_concurrency, service) if jobs is None else lambda: jobs, executor if here else None)
    return Many(entries, crew)


def _local(
    builder: BuildService | str | None, builder_store: Castore | str | None, castore: Castore, runtime: str | None
) -> BuildService:
    if not isinstance(builder, BuildService):
        return shared_builder(builder, castore, runtime, builder_store)
    _check_open(builder_store)
    return builder


def _at_workers(
    executor: Any, builder: BuildService | str | None, builder_store: Castore | str | None, castore: Castore,
    runtime: str | None,
) -> WorkersBuildService:  # fmt: skip
    theirs = builder_store.address if isinstance(builder_store, Castore) else builder_store
    if isinstance(builder, BuildService):
        _check_open(builder_store)
        address: str | None = builder.address
        if elsewhere(builder.address):
            theirs = builder.castore.address
    else:
        address = builder or os.environ.get(BUILDER_VARIABLE)
    from tvixbuild_nb.build.workers.opening import pool_of  # who builds here needs no other processes

    pool = pool_of(executor)
    try:
        return WorkersBuildService(pool, castore, builder=address, builder_store=theirs, runtime=runtime)
    except BaseException:
        pool.close()
        raise


def _check_open(builder_store: Castore | str | None) -> None:
    if builder_store is not None:
        raise InvalidValue(
            "a build service that is open has its store already", path="builder_store",
            hint="builder= takes its address, too",
        )  # fmt: skip


def _concurrency(service: BuildService) -> int:
    """How many builds a service runs at once; where it does not say, as many as there are processors."""
    return int(getattr(service, "concurrency", None) or os.cpu_count() or 1)
