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
    """One run of a check: what is built, how it is rendered, and how it is run."""

    request: BuildRequest
    options: SpecOptions
    policy: BuildPolicy

    def with_variables(self, variables: Mapping[str, str]) -> Trial:
        """With these variables in the environment, in place of those of the same names."""
        request = self.request.replace(environment_vars={**self.request.environment_vars, **variables})
        return replace(self, request=request)


@dataclass(frozen=True, slots=True)
class Variation:
    """One thing that is varied: its name, in words what becomes of it, and the trial of a round (from 0 on).

    ``stays``: what one might think is varied with it and is not, None when there is nothing of the kind.
    """

    name: str
    what: str
    apply: Callable[[Trial, int], Trial]
    stays: str | None = None


def _hostname(trial: Trial, round: int) -> Trial:
    name = _HOSTNAMES[round % len(_HOSTNAMES)]
    return replace(trial, options=trial.options.replace(hostname=name))


def _zone(trial: Trial, round: int) -> Trial:
    return trial.with_variables({"TZ": _ZONES[round % len(_ZONES)]})


def _locale(trial: Trial, round: int) -> Trial:
    locale = _LOCALES[round % len(_LOCALES)]
    return trial.with_variables({"LANG": locale, "LC_ALL": locale})


def _order(trial: Trial, round: int) -> Trial:
    return replace(trial, policy=replace(trial.policy, listing="backwards"))


def _cores(trial: Trial, round: int) -> Trial:
    # What the build was told before is not told again.
    before = trial.request.environment_vars.get("NIX_BUILD_CORES", b"").decode("utf-8", "replace")
    here = os.cpu_count() or 1
    told = [str(count) for count in (1, here + 1, here + 2) if str(count) != before]
    return trial.with_variables({"NIX_BUILD_CORES": told[round % len(told)]})


VARIATIONS: Mapping[str, Variation] = {
    each.name: each
    for each in (
        Variation("hostname", "another hostname", _hostname),
        Variation("timezone", "another time zone (TZ)", _zone),
        Variation("locale", "another locale (LANG, LC_ALL)", _locale),
        Variation(
            "order",
            "directories of inputs are listed backwards",
            _order,
            "the order in which scratch directories are listed: it is their file system's",
        ),
        Variation(
            "cores",
            "another number of cores (NIX_BUILD_CORES)",
            _cores,
            "the processors that a build can count by itself (nproc)",
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
