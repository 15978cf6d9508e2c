"""What a run's view shows, as plain data: a function of its events, its result and the time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from tvixbuild_nb.build import BuildResult, EndEvent, StageEvent, UsageSample
from tvixbuild_nb.build.events import Stage
from tvixbuild_nb.build.result import BuildOutput, output_summary
from tvixbuild_nb.castore.progress import Shown, human
from tvixbuild_nb.debug import Explanation
from tvixbuild_nb.request import Redactor
from tvixbuild_nb.widgets.kit import visible
from tvixbuild_nb.widgets.run.use import usage_data, use_data
from tvixbuild_nb.widgets.run.words import FAULTS, exit_words, moment_words, seconds_words

STAGES: tuple[Stage, ...] = get_args(Stage)
Show = Callable[[str], str]

_ELSEWHERE = "another process runs it and can cancel it; closing this view leaves it alone"
_STORING = "being cancelled, as soon as what is being stored now is stored"
_MOST_WRITTEN = 50


@dataclass(frozen=True, slots=True)
class RunFacts:
    """All that is known of a run at the moment ``now`` (seconds since the epoch); ``result`` None while it goes on."""

    id: str
    command: Sequence[str]
    now: float
    events: Sequence[StageEvent | EndEvent]
    result: BuildResult | None
    needles: Sequence[str]
    redactor: Redactor
    is_ours: bool
    cancelling: bool
    bundle: str | None = None
    sample: UsageSample | None = None
    bringing: Shown | None = None
    explanation: Explanation = field(default_factory=Explanation)


def run_data(facts: RunFacts) -> dict[str, Any]:
    """The run as JSON data; every text is without secrets and safe to look at."""

    def show(text: str) -> str:
        return visible(facts.redactor.text(text))

    result = facts.result
    started = result.started if result is not None else facts.events[0].time if facts.events else facts.now
    ended = result.finished if result is not None else facts.now
    stages = stages_data(facts.events, result, facts.now, show)
    return {
        "run": facts.id,
        # A script has lines.
        "command": visible(facts.redactor.text(" ".join(facts.command)), keep="\n\t").rstrip(),
        "running": result is None,
        "status": "running" if result is None else result.status,
        "drawn": moment_words(facts.now),
        "elapsed": round(max(0.0, ended - started), 3),
        "stages": stages,
        "cancel": _cancel(facts, stages),
        "use": None if result is not None else _use(facts, stages),
        "end": None if result is None else end_data(result, facts.needles, facts.bundle, show),
        "findings": findings_data(facts.explanation, show),
    }


def _cancel(facts: RunFacts, stages: list[dict[str, Any]]) -> dict[str, Any]:
    """Whether it can be cancelled from here, and why not."""
    if facts.result is not None:
        return {"can": False, "why": None}
    if not facts.is_ours:
        return {"can": False, "why": _ELSEWHERE}
    if not facts.cancelling:
        return {"can": True, "why": None}
    return {"can": False, "why": _STORING if _active(stages, "ingest") else "being cancelled"}


def _use(facts: RunFacts, stages: list[dict[str, Any]]) -> dict[str, Any] | None:
    """What it uses now; before that, what was sent of its inputs."""
    if facts.bringing is None:
        return use_data(facts.sample, _commanding(stages))
    return {"figures": {"inputs sent": facts.bringing.text()}, "source": visible(facts.bringing.title)}


def _active(stages: list[dict[str, Any]], name: str) -> dict[str, Any] | None:
    """The stage of that name if it goes on."""
    return next((stage for stage in stages if stage["name"] == name and stage["state"] == "active"), None)


def _commanding(stages: list[dict[str, Any]]) -> float | None:
    """Seconds for which the command has been running; None before and after."""
    run = _active(stages, "run")
    return None if run is None else run["seconds"]


def stages_data(
    events: Sequence[StageEvent | EndEvent], result: BuildResult | None, now: float, show: Show
) -> list[dict[str, Any]]:
    """One dict per stage in the order of a build's life: name, state, seconds (None before it began), detail.

    States: waiting, active, done, failed; once the run is over also skipped (never begun) and stopped (never ended, or
    ended by who cancelled the run).
    """
    over = result is not None
    failed = "stopped" if result is not None and result.status == "cancelled" else "failed"
    timings = {} if result is None else result.timings
    found = []
    for stage in STAGES:
        state, began, seconds, detail = "skipped" if over else "waiting", None, None, None
        for event in events:
            if not isinstance(event, StageEvent) or event.stage != stage:
                continue
            if event.state == "started":
                state, began = "stopped" if over else "active", event.time
            else:
                state, detail = ("done" if event.state == "finished" else failed), event.detail
                seconds = None if began is None else event.time - began
        if state == "active" and began is not None:
            seconds = now - began
        seconds = timings.get(stage, seconds)
        found.append({
            "name": stage,
            "state": state,
            "seconds": None if seconds is None else round(max(0.0, seconds), 4),
            "took": None if seconds is None else seconds_words(max(0.0, seconds)),
            "detail": None if detail is None else show(detail),
        })  # fmt: skip
    return found


def end_data(result: BuildResult, needles: Sequence[str], bundle: str | None, show: Show) -> dict[str, Any]:
    """How it ended, whose fault that was, what it used and what came out."""
    took = seconds_words(result.finished - result.started)
    headline = f"succeeded in {took}"
    if not result.ok:
        headline = result.status + (f" at {result.failed_at}" if result.failed_at else "")
    written = result.written
    return {
        "headline": headline,
        "took": took if result.ok else None,
        "recorded": None if result.recorded is None else show(str(result.recorded)),
        "fault": FAULTS[result.failed_at] if result.failed_at else None,
        "message": None if result.message is None else show(result.message),
        "hint": None if result.hint is None else show(result.hint),
        "exit": exit_words(result.exit_code, result.signal),
        "degraded": [show(text) for text in result.degraded],
        "usage": usage_data(result.usage, show),
        "how": _how(result, show),
        "outputs": [output_data(output, needles, show) for output in result.outputs or result.rejected],
        "outputs_are": "rejected output, still in run.rejected" if result.rejected else "output",
        "written": None if written is None else [show(path) for path in written[:_MOST_WRITTEN]],
        "written_more": 0 if written is None else max(0, len(written) - _MOST_WRITTEN),
        "bundle": None if bundle is None else show(bundle),
        "log": f"{human(result.log_size)} of log",
    }


def findings_data(explanation: Explanation, show: Show) -> list[dict[str, Any]]:
    """Why it failed, cause by cause; empty where nothing is wrong or nothing is known."""
    return [
        {
            "cause": show(finding.cause),
            "confidence": finding.confidence,
            "evidence": [show(str(evidence)) for evidence in finding.evidence],
            "cure": "\n".join(map(show, finding.cure.split("\n"))),
        }
        for finding in explanation
    ]


def _how(result: BuildResult, show: Show) -> list[str]:
    inputs = f"inputs by {result.inputs}" if result.inputs and result.inputs != "none" else None
    return [show(text) for text in (result.service, result.runtime, inputs) if text]


def output_data(output: BuildOutput, needles: Sequence[str], show: Show) -> dict[str, Any]:
    """One output: what it is, how large, which needles were found in it."""
    summary = output_summary(output)
    if "entries" in summary:
        count = summary["entries"]
        size = f"{count:,} {'entry' if count == 1 else 'entries'}"
    elif "target" in summary:
        size = f"to {show(summary['target'])}"
    else:
        size = human(summary["size"]) + (", executable" if summary["executable"] else "")
    return {
        "path": show(output.path),
        "kind": output.kind,
        "digest": summary["digest"],
        "size": size,
        "needles": [show(needles[index]) for index in output.needles],
    }
