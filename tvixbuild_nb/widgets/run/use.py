"""What a run uses while it goes on and what it used in the end, in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvixbuild_nb.build import Usage, UsageSample
from tvixbuild_nb.castore.progress import human
from tvixbuild_nb.widgets.run.words import seconds_words

# Seconds after which a command that nobody measures will not be measured any more: the first sample takes half of one.
_PATIENCE = 2.0
_SOURCES = {
    "cgroup": "its cgroup, file caches included",
    "processes": "the sum over its processes: there is no cgroup; memory they share counts for each",
}
OOM = "ended for lack of memory"
NOBODY = "nobody measures it while it goes on"


def use_data(sample: UsageSample | None, commanding: float | None) -> dict[str, Any] | None:
    """What it uses now: ``figures`` (label -> amount) and their ``source``; None as long as it is too early to say.

    ``commanding``: seconds for which the command has been running, None before and after.
    """
    if sample is None:
        return {"figures": {}, "source": NOBODY} if commanding is not None and commanding > _PATIENCE else None
    figures = {
        "CPU": _cpu(sample),
        "memory": _memory(sample),
        "processes": None if sample.pids is None else str(sample.pids),
        OOM: str(sample.oom_kills) if sample.oom_kills else None,
    }
    return {"figures": _known(figures), "source": _SOURCES[sample.source]}


def _cpu(sample: UsageSample) -> str | None:
    if sample.cpu is None:
        return None
    return seconds_words(sample.cpu) + ("" if sample.load is None else f" ({sample.load * 100:.0f} % of one now)")


def _memory(sample: UsageSample) -> str | None:
    if sample.memory is None:
        return None
    peak = "" if sample.peak_memory is None else f" (at most {human(sample.peak_memory)})"
    return human(sample.memory) + peak


def usage_data(usage: Usage, show: Callable[[str], str]) -> dict[str, Any]:
    """What it used in the end: ``figures`` (label -> amount) and where they come from, their ``source``."""
    figures = {
        "wall time": None if usage.wall is None else seconds_words(usage.wall),
        "CPU": None if usage.cpu is None else seconds_words(usage.cpu),
        "peak memory": None if usage.peak_memory is None else human(usage.peak_memory),
        OOM: str(usage.oom_kills) if usage.oom_kills else None,
    }
    return {"figures": _known(figures), "source": show(usage.source)}


def use_words(use: dict[str, Any]) -> str:
    """Either of the two on one line."""
    figures = ", ".join(f"{name} {text}" for name, text in use["figures"].items())
    return f"{figures} ({use['source']})" if figures else f"nothing measured ({use['source']})"


def _known(figures: dict[str, str | None]) -> dict[str, str]:
    return {name: text for name, text in figures.items() if text is not None}
