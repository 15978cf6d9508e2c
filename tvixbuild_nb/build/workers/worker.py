"""build_job(): what a worker does with a job, and what it tells whoever waits for it."""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing
from dataclasses import dataclass, replace

from tvixbuild_nb.build.addresses import build_service_from_addr
from tvixbuild_nb.build.places import default_bundle_root
from tvixbuild_nb.build.result import BuildResult
from tvixbuild_nb.build.service import BuildContext, BuildPolicy, BuildService, CancelToken
from tvixbuild_nb.build.workers.fitness import Unfitness, found_unfit, unfitness
from tvixbuild_nb.build.workers.homing import brought_home
from tvixbuild_nb.build.workers.job import Answer, Job, Unfit, Voice
from tvixbuild_nb.build.workers.refusals import RefusalsAsResults
from tvixbuild_nb.build.workers.telling import Teller, answer
from tvixbuild_nb.build.workers.transient import transient_record
from tvixbuild_nb.castore import Castore, open_castore
from tvixbuild_nb.request import BuildRequest

# Seconds for which a worker that cannot build holds back each further job that it gets all the same.
_PAUSE = 0.25
# The executor says how many are built at once.
_CONCURRENCY = 1024


@dataclass(frozen=True, slots=True)
class _Opened:
    """What this process builds such jobs with, and the store their outputs go to."""

    service: BuildService
    store: Castore


_lock = threading.Lock()
_opened: dict[tuple[int, str], _Opened] = {}
_declined: set[tuple[int, str]] = set()
_running: dict[str, CancelToken] = {}


def build_job(job: Job) -> Answer | Unfit:
    """Build it in this process; nothing of it stays here but a bundle that ``keep="always"`` asked for.

    The record of the run goes home in the answer. When whoever waits for it is gone, the build is cancelled.
    """
    cancel = CancelToken()
    # Before anybody hears who has it: from then on it can be asked to end.
    _running[job.key] = cancel
    try:
        with closing(job.line.open(job.key)) as voice:
            voice.obey(cancel)
            return voice.earlier() or _answered(job, voice, cancel)
    finally:
        _running.pop(job.key, None)


def cancel_job(key: str) -> None:
    """End the job called ``key``, if this process is at it; for lines that cannot tell it so."""
    cancel = _running.get(key)
    if cancel is not None:
        cancel.cancel()


def _answered(job: Job, voice: Voice, cancel: CancelToken) -> Answer | Unfit:
    key = f"{job.store} {job.builder} {job.builder_store} {job.runtime}"
    opened = _open(job, key)
    unfit = unfitness(opened.service, key)
    if unfit is not None:
        return _decline(voice, key, unfit)
    voice.tell({"told": "started", "worker": voice.worker})
    done, result = _built(job, opened, voice, cancel)
    if result.failed_at == "setup":
        unfit = found_unfit(opened.service, key, result.message or "no sandbox")
        if unfit is not None:
            return _decline(voice, key, unfit)
    voice.tell({"told": "result", "worker": voice.worker, "status": result.status, "result": done.result})
    return done


def _built(job: Job, opened: _Opened, voice: Voice, cancel: CancelToken) -> tuple[Answer, BuildResult]:
    service = RefusalsAsResults(opened.service)
    with transient_record() as record:
        context = BuildContext(record, _policy(job.policy), cancel)
        with Teller(record, voice):
            result = service.do_build(BuildRequest.from_bytes(job.request), context)
        result = brought_home(result, service.castore, opened.store, cancel)
        return answer(voice.worker, record, result), result


def _policy(policy: BuildPolicy) -> BuildPolicy:
    # Nobody looks for a bundle on another machine unless it was asked for.
    return replace(policy, keep="never") if policy.keep == "failure" else policy


def _open(job: Job, key: str) -> _Opened:
    """What this process builds such jobs with, opened once."""
    with _lock:
        place = (os.getpid(), key)
        if place not in _opened:
            address = job.builder or f"oci:{default_bundle_root()}"
            given = {"runtime": job.runtime, "builder_store": job.builder_store}
            options: dict[str, str | int] = {name: value for name, value in given.items() if value is not None}
            if address.startswith("oci:"):
                options["concurrency"] = _CONCURRENCY
            store = open_castore(job.store)
            _opened[place] = _Opened(build_service_from_addr(address, store, **options), store)
        return _opened[place]


def _decline(voice: Voice, key: str, unfit: Unfitness) -> Unfit:
    place = (os.getpid(), key)
    if place in _declined:
        # Who declines is free at once for the next one: others are to have a chance.
        time.sleep(_PAUSE)
    _declined.add(place)
    return Unfit(voice.worker, unfit.reason, unfit.report)
