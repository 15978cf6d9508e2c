"""What a check varies from run to run: each thing by itself, so that it is known which one a build depends on. Pure."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from tvixbuild_nb.build import BuildPolicy
from tvixbuild_nb.errors import InvalidValue
from tvixbuild_nb.oci import SpecOptions
from tvixbuild_nb.request import BuildRequest
from tvixbuild_nb.request.model import did_you_mean

# Other names, half a day apart, other languages: for as many rounds as there are, then again from the first.
_HOSTNAMES = ("otherhost", "build-7", "a.b.example")
_ZONES = ("UTC+11", "UTC-12", "UTC-5:30")
_LOCALES = ("tr_TR.UTF-8", "POSIX", "de_DE.ISO-8859-1")


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of a check: what is built, how it is rendered, and how it is run.

    ``room``: bytes that its bundle is likely to take, None as long as that is not known.
    """

    request: BuildRequest
    options: SpecOptions
    policy: BuildPolicy
    room: int | None = None

    def with_variables(self, variables: Mapping[str, str]) -> Trial:
        """With these variables in the environment, in place of those of the same names."""
        request = self.request.replace(environment_vars={**self.request.environment_vars, **variables})
        return replace(self, request=request)


@dataclass(frozen=True, slots=True)
class Variation:
    """One thing that is varied: its name, in words what becomes of it, and the trial of a round (from 0 on).

    ``stays``: what one might think is varied with it and is not, None when there is nothing of the kind. ``topic``:
    how a run's ``degraded`` begins when the host could not do it.
    """

    name: str
    what: str
    apply: Callable[[Trial, int], Trial]
    stays: str | None = None
    topic: str | None = None


def _hostname(trial: Trial, round: int) -> Trial:
    name = _HOSTNAMES[round % len(_HOSTNAMES)]
    return replace(trial, options=trial.options.replace(hostname=name))


def _zone(trial: Trial, round: int) -> Trial:
    return trial.with_variables({"TZ": _ZONES[round % len(_ZONES)]})


def _locale(trial: Trial, round: int) -> Trial:
    locale = _LOCALES[round % len(_LOCALES)]
    return trial.with_variables({"LANG": locale, "LC_ALL": locale})


def _order(trial: Trial, round: int) -> Trial:
    return replace(trial, policy=replace(trial.policy, listing="backwards", room=trial.room))


def _cores(trial: Trial, round: int) -> Trial:
    # What the build was told before is not told again.
    before = trial.request.environment_vars.get("NIX_BUILD_CORES", b"").decode("utf-8", "replace")
    here = len(os.sched_getaffinity(0))
    # The same on every host: the runs of a check that was recorded are found again elsewhere.
    told = [str(count) for count in (1, 3, 5, 7) if str(count) != before][:3]
    given = list(dict.fromkeys((1, max(here // 2, 1), max(here - 1, 1))))
    trial = trial.with_variables({"NIX_BUILD_CORES": told[round % len(told)]})
    return replace(trial, policy=replace(trial.policy, processors=given[round % len(given)]))


VARIATIONS: Mapping[str, Variation] = {
    each.name: each
    for each in (
        Variation("hostname", "another hostname", _hostname),
        Variation("timezone", "another time zone (TZ)", _zone),
        Variation("locale", "another locale (LANG, LC_ALL)", _locale),
        Variation(
            "order",
            "directories are listed in another order (inputs backwards, scratch directories as in memory)",
            _order,
            topic="listing",
        ),
        Variation(
            "cores",
            "another number of processors (affinity, NIX_BUILD_CORES)",
            _cores,
            "the processors as /proc/cpuinfo and /sys list them (Python's os.cpu_count)",
            "processors",
        ),
    )
}


def variations_named(names: Iterable[str]) -> tuple[Variation, ...]:
    """The variations of these names, in the order given; :class:`InvalidValue` for one that there is not."""
    found = []
    for index, name in enumerate(names):
        if name not in VARIATIONS:
            raise InvalidValue(
                f"there is no variation {name!r}", path="vary", index=index, hint=did_you_mean(name, VARIATIONS)
            )
        found.append(VARIATIONS[name])
    return tuple(found)


def varied(trial: Trial, variations: Iterable[Variation], round: int) -> Trial:
    """The trial with all of these varied."""
    for each in variations:
        trial = each.apply(trial, round)
    return trial
