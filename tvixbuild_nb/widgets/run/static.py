"""A run without a kernel: verdict, stages, what it used, outputs, the end of its log."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.widgets.kit import Html, fragment, tag, volatile
from tvixbuild_nb.widgets.run.use import OOM, use_words

MARKS = {"waiting": "○", "active": "▶", "done": "✓", "failed": "✗", "skipped": "–", "stopped": "■"}
_LEFT = "text-align:left;vertical-align:top"
_FOLD = "overflow-wrap:anywhere"
# What a run had to do without is this host's doing, and a bundle stays where the run was, not where it is replayed.
_LACKS, _BUNDLE = "without", "kept bundle"
_OF_THE_HOST = (_LACKS, _BUNDLE)


def run_html(data: dict[str, Any], log: Html) -> Html:
    """The run, self-contained; ``log`` is the folded end of its log."""
    end = data["end"]
    return tag(
        "div",
        tag("div", "run ", tag("code", data["run"]), " ", tag("strong", _headline(data)), going_on(data)),
        tag("div", volatile("presence", tag("em", end["recorded"]))) if end is not None and end["recorded"] else None,
        tag("div", tag("code", data["command"], style="white-space:pre-wrap"), style=_FOLD),
        None if end is None else _verdict(end),
        tag("div", volatile("used", use_words(data["use"]))) if data["use"] else None,
        _stages(data["stages"]),
        None if end is None else _outputs(end["outputs"], end["outputs_are"]),
        findings_html(data["findings"]),
        log,
    )


def findings_html(findings: list[dict[str, Any]]) -> Html | None:
    """Why it failed, as :func:`~tvixbuild_nb.widgets.run.data.findings_data` has it; None where there is nothing."""
    if not findings:
        return None
    return tag(
        "div",
        tag("strong", "why it failed"),
        [
            tag(
                "div",
                tag("div", found["cause"], f" ({found['confidence']})", style=_FOLD),
                _list(found["evidence"]),
                tag("pre", found["cure"], style="font-family:monospace;white-space:pre-wrap"),
            )
            for found in findings
        ],
    )


def headline(data: dict[str, Any]) -> str:
    """How it ended; a form that does not move can only say when it was going on."""
    return f"was running on {data['drawn']}" if data["end"] is None else str(data["end"]["headline"])


def _headline(data: dict[str, Any]) -> Html:
    """The same, with what is another every time marked."""
    said, end = headline(data), data["end"]
    kind, changing = ("moment", data["drawn"]) if end is None else ("seconds", end["took"])
    if not changing:
        return fragment(said)
    return fragment(said.removesuffix(changing), volatile(kind, changing))


def going_on(data: dict[str, Any]) -> str | None:
    """For a run that goes on: where it can be learned how it ended."""
    return f"; how it ended: Run.open({data['run']!r})" if data["end"] is None else None


def _verdict(end: dict[str, Any]) -> Html:
    rows = [
        ("whose fault", end["fault"]),
        ("message", end["message"]),
        ("hint", end["hint"]),
        ("the command", end["exit"]),
        (_LACKS, _list(end["degraded"])),
        ("used", _used(end["usage"])),
        (_BUNDLE, tag("code", end["bundle"]) if end["bundle"] else None),
        ("written instead", _list(written_words(end))),
    ]
    cells = [
        tag(
            "tr",
            tag("th", name, scope="row", style=_LEFT),
            tag("td", value, style=f"{_LEFT};{_FOLD}"),
            data_volatile="presence" if name in _OF_THE_HOST else None,
        )
        for name, value in rows
        if value
    ]
    return tag("table", tag("tbody", cells))


def _used(usage: dict[str, Any]) -> Html:
    """The figures; that something was killed for lack of memory is no matter of luck."""
    killed = usage["figures"].get(OOM)
    figures = {name: text for name, text in usage["figures"].items() if name != OOM}
    said = volatile("used", use_words({**usage, "figures": figures}))
    return said if killed is None else fragment(said, f"; {OOM}: ", volatile("amount", killed))


def written_words(end: dict[str, Any]) -> list[str]:
    """The paths that were written where outputs are missing."""
    if end["written"] is None:
        return []
    more = [f"and {end['written_more']} more"] if end["written_more"] else []
    return [*end["written"], *more] or ["nothing"]


def _list(texts: list[str]) -> Html | None:
    return tag("ul", [tag("li", text) for text in texts], style="margin:0") if texts else None


def _stages(stages: list[dict[str, Any]]) -> Html:
    rows = [
        tag("tr", [tag("td", cell, style=_LEFT) for cell in (_state(stage), stage["name"], _took(stage))])
        for stage in stages
    ]
    head = tag("tr", [tag("th", name, scope="col", style=_LEFT) for name in ("", "stage", "time")])
    timed = [[" · " if index else ": ", f"{stage['name']} ", _took(stage)]
             for index, stage in enumerate(stage for stage in stages if stage["took"])]  # fmt: skip
    return tag(
        "details",
        tag("summary", "stages", timed),
        tag("table", tag("thead", head), tag("tbody", rows)),
    )


def _took(stage: dict[str, Any]) -> Html | None:
    return volatile("seconds", stage["took"]) if stage["took"] else None


def _state(stage: dict[str, Any]) -> str:
    return f"{MARKS[stage['state']]} {stage['state']}"


def _outputs(outputs: list[dict[str, Any]], what: str) -> Html | None:
    if not outputs:
        return None
    head = (what, "kind", "size", "digest", "needles")
    rows = [
        tag("tr", [tag("td", cell, style=f"{_LEFT};{_FOLD}") for cell in (
            tag("code", output["path"]), output["kind"], output["size"], tag("code", output["digest"] or ""),
            fragment([tag("div", tag("code", needle)) for needle in output["needles"]]),
        )])
        for output in outputs
    ]  # fmt: skip
    columns = tag("tr", [tag("th", name, scope="col", style=_LEFT) for name in head])
    return tag("table", tag("thead", columns), tag("tbody", rows))
