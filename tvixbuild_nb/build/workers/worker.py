"""build_job(): what a worker does with a job, and what it tells whoever waits for it."""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing
from dataclasses import replace

from tvixbuild_nb.build.addresses import build_service_from_addr
from tvixbuild_nb.build.places import default_bundle_root
from tvixbuild_nb.build.service import BuildContext, BuildPolicy, BuildService, CancelToken
from tvixbuild_nb.build.workers.fitness import Unfitness, found_unfit, unfitness
from tvixbuild_nb.build.workers.job import Answer, Job, Unfit, Voice
from tvixbuild_nb.build.workers.refusals import RefusalsAsResults
from tvixbuild_nb.build.workers.telling import Teller, answer
from tvixbuild_nb.build.workers.transient import transient_record
from tvixbuild_nb.castore import open_castore
from tvixbuild_nb.request import BuildRequest

# Seconds for which a worker that cannot build holds back each further job that it gets all the same.
_PAUSE = 0.25
# The executor says how many are built at once.
_CONCURRENCY = 1024

_lock = threading.Lock()
_services: dict[tuple[int, str], BuildService] = {}
_declined: set[tuple[int, str]] = set()
_running: dict[str, CancelToken] = {}


def build_job(job: Job) -> Answer | Unfit:
    """Build it in this process; nothing of it stays here but a bundle that ``keep="always"`` asked for.

    The record of the run goes home in the answer. When whoever waits for it is gone, the build is cancelled.
    """
    with closing(job.line.open(job.key)) as voice:
        key = f"{job.store} {job.builder} {job.runtime}"
        service = _service(job, key)
        unfit = unfitness(service, key)
        if unfit is not None:
            return _decline(voice, key, unfit)
        voice.tell({"told": "started", "worker": voice.worker})
        done, setup_failed = _built(job, service, voice)
        if setup_failed is not None and (unfit := found_unfit(key, setup_failed)) is not None:
            return _decline(voice, key, unfit)
        voice.tell({"told": "result", "result": done.result})
        return done


def cancel_job(key: str) -> None:
    """End the job called ``key``, if this process is at it; for lines that cannot tell it so."""
    cancel = _running.get(key)
    if cancel is not None:
        cancel.cancel()


def _built(job: Job, service: BuildService, voice: Voice) -> tuple[Answer, str | None]:
    """The answer; and why the sandbox could not be set up, when that was it."""
    cancel = CancelToken()
    with transient_record() as record:
        context = BuildContext(record, _policy(job.policy), cancel)
        voice.obey(cancel)
        _running[job.key] = cancel
        try:
            with Teller(record, voice):
                result = RefusalsAsResults(service).do_build(BuildRequest.from_bytes(job.request), context)
        finally:
            _running.pop(job.key, None)
        failed = (result.message or "no sandbox") if result.failed_at == "setup" else None
        return answer(voice.worker, record, result), failed


def _policy(policy: BuildPolicy) -> BuildPolicy:
    # Nobody looks for a bundle on another machine unless it was asked for.
    return replace(policy, keep="never") if policy.keep == "failure" else policy


def _service(job: Job, key: str) -> BuildService:
    """The build service of this process for such jobs, opened once."""
    with _lock:
        place = (os.getpid(), key)
        if place not in _services:
            address = job.builder or f"oci:{default_bundle_root()}"
            options: dict[str, str | int] = {} if job.runtime is None else {"runtime": job.runtime}
            if address.startswith("oci:"):
                options["concurrency"] = _CONCURRENCY
            _services[place] = build_service_from_addr(address, open_castore(job.store), **options)
        return _services[place]


def _decline(voice: Voice, key: str, unfit: Unfitness) -> Unfit:
    place = (os.getpid(), key)
    if place in _declined:
        # Who declines is free at once for the next one: others are to have a chance.
        time.sleep(_PAUSE)
    _declined.add(place)
    return Unfit(voice.worker, unfit.reason, unfit.report)
