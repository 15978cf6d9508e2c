"""Whether builds can run in this process: what a worker looks at before its first job, later again if not."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass

from tvixbuild_nb.build.doctor import DoctorReport, doctor
from tvixbuild_nb.build.oci import OCIBuildService
from tvixbuild_nb.build.service import BuildPolicy, BuildService
from tvixbuild_nb.errors import TvixBuildError
from tvixbuild_nb.request import BuildRequest

# Seconds after which somebody may have mended what was missing.
MENDED = 60.0


@dataclass(frozen=True, slots=True)
class Unfitness:
    """Why this process cannot build, and what its ``doctor()`` found."""

    reason: str
    report: DoctorReport


@dataclass(frozen=True, slots=True)
class _Looked:
    at: float
    found: Unfitness | None

    def lasts(self, mended: float) -> bool:
        return self.found is None or time.monotonic() - self.at < mended


_lock = threading.Lock()
_known: dict[tuple[int, str], _Looked] = {}


def unfitness(service: BuildService, key: str, mended: float = MENDED) -> Unfitness | None:
    """Why ``service`` cannot build in this process; None when it can. Remembered by ``key``, bad answers for a while.

    Nothing is run: finding the runtime and starting the keeper, which the first build would do anyway, is what fails
    on hosts that are not meant for this. :func:`found_unfit` is for the others. What builds elsewhere is fit.
    ``mended``: seconds after which it is looked whether somebody has mended it.
    """
    place = (os.getpid(), key)
    with _lock:
        known = _known.get(place)
        if known is None or not known.lasts(mended):
            known = _known[place] = _Looked(time.monotonic(), _examined(service))
        return known.found


def found_unfit(service: BuildService, key: str, reason: str) -> Unfitness | None:
    """After a sandbox could not be set up: whether that is this host's fault; None when it was the request's.

    The doctor is asked once, since it runs a build, and again where it found something a minute ago or longer.
    """
    if not isinstance(service, OCIBuildService):
        return None
    place = (os.getpid(), f"{key} after a failure")
    with _lock:
        known = _known.get(place)
        if known is None or not known.lasts(MENDED):
            report = doctor()
            known = _known[place] = _Looked(time.monotonic(), None if report.ok else Unfitness(reason, report))
            if known.found is not None:
                _known[os.getpid(), key] = known
        return known.found


def _examined(service: BuildService) -> Unfitness | None:
    if not isinstance(service, OCIBuildService):
        return None
    try:
        service.plan(BuildRequest(command_args=["true"]), BuildPolicy())
    except TvixBuildError as error:
        return Unfitness(error.message, doctor())
    return None
