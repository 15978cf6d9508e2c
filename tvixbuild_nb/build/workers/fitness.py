"""Whether builds can run in this process, asked once: what a worker looks at before its first job."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

from tvixbuild_nb.build.doctor import DoctorReport, doctor
from tvixbuild_nb.build.oci import OCIBuildService
from tvixbuild_nb.build.service import BuildPolicy, BuildService
from tvixbuild_nb.errors import TvixBuildError
from tvixbuild_nb.request import BuildRequest


@dataclass(frozen=True, slots=True)
class Unfitness:
    """Why this process cannot build, and what its ``doctor()`` found."""

    reason: str
    report: DoctorReport


_lock = threading.Lock()
_known: dict[tuple[int, str], Unfitness | None] = {}


def unfitness(service: BuildService, key: str) -> Unfitness | None:
    """Why ``service`` cannot build in this process; None when it can. Remembered by ``key``.

    Nothing is run: finding the runtime and starting the keeper, which the first build would do anyway, is what fails
    on hosts that are not meant for this. :func:`found_unfit` is for the others.
    """
    place = (os.getpid(), key)
    with _lock:
        if place not in _known:
            _known[place] = _examined(service)
        return _known[place]


def found_unfit(key: str, reason: str) -> Unfitness | None:
    """After a sandbox could not be set up, once: whether that is this host's fault; None when it was the request's."""
    place = (os.getpid(), f"{key} after a failure")
    with _lock:
        if place not in _known:
            report = doctor()
            _known[place] = None if report.ok else Unfitness(reason, report)
            if not report.ok:
                _known[os.getpid(), key] = _known[place]
        return _known[place]


def _examined(service: BuildService) -> Unfitness | None:
    if not isinstance(service, OCIBuildService):
        return None
    try:
        service.plan(BuildRequest(command_args=["true"]), BuildPolicy())
    except TvixBuildError as error:
        return Unfitness(error.message, doctor())
    return None
