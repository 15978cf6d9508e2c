"""The files of a run's directory as they go into a record: without secrets, and without what only this host knows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from tvixbuild_nb.build.record import RunRecord
from tvixbuild_nb.build.records.hiding import Hiding
from tvixbuild_nb.build.records.loghiding import HiddenPlaces, copy_log, hidden_places
from tvixbuild_nb.build.result import BuildOutput, BuildResult
from tvixbuild_nb.request import BuildRequest

_CHUNK = 1 << 20
# Those that are taken as they are but for the values of secrets; of a configuration paths stay as they were mounted.
_DOCUMENTS = ("origin.json", "accesses.json", "inside.json", "processes.json")
_AS_MOUNTED = ("options.json", "config.json")
_PLAIN = ("secrets.json", "policy.json")
_NOWHERE = "record:"


def run_files(
    record: RunRecord, request: BuildRequest, result: BuildResult, hiding: Hiding, work: Path
) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Name and contents of each; ``work`` is a directory for what is made on the way."""
    yield "request.json", [hiding.request(request).to_json(None).encode()]
    for names, home in ((_DOCUMENTS, True), (_AS_MOUNTED, False)):
        for name in names:
            if (data := _read(record, name)) is not None:
                yield name, [hiding.document(data, home=home)]
    for name in _PLAIN:
        if (data := _read(record, name)) is not None:
            yield name, [data]
    host = record.read_host()
    if host is not None:
        side = None if host.side is None else replace(host.side, hostname="")
        yield "host.json", [host.model_copy(update={"side": side}).to_json()]
    if (visits := _read(record, "visits.jsonl")) is not None:
        yield "visits.jsonl", [hiding.lines(visits)]
    places = HiddenPlaces()
    if record.index_path.exists():
        places = hidden_places(record.log_path, record.index_path, hiding.redactor)
        copy_log(record.log_path, record.index_path, places, work / "log", work / "log.index")
        yield "log", _pieces(work / "log")
        yield "log.index", _pieces(work / "log.index")
        result = result.model_copy(update={"log_size": (work / "log").stat().st_size})
    yield "result.json", [_result(result, hiding).model_dump_json(exclude_defaults=True).encode()]
    if (events := _read(record, "events.jsonl")) is not None:
        yield "events.jsonl", [_events(hiding.lines(events), places)]


def _read(record: RunRecord, name: str) -> bytes | None:
    try:
        return (record.path / name).read_bytes()
    except FileNotFoundError:
        return None


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _events(lines: bytes, places: HiddenPlaces) -> bytes:
    events = [json.loads(line) for line in lines.splitlines()]
    for event in events:
        event["log_offset"] = places.moved(event.get("log_offset", 0))
    return b"".join(json.dumps(event, separators=(",", ":")).encode() + b"\n" for event in events)


def _result(result: BuildResult, hiding: Hiding) -> BuildResult:
    """The result as it may be told: its bundle and store are nowhere else, and who has it says when it was recorded."""

    def told(text: str | None) -> str | None:
        return None if text is None else hiding.text(text)

    usage = result.usage.model_copy(update={"source": hiding.text(result.usage.source)})
    return result.model_copy(
        update={
            "service": hiding.text(result.service),
            "message": told(result.message),
            "hint": told(result.hint),
            "outputs": tuple(_output(output, hiding) for output in result.outputs),
            "rejected": tuple(_output(output, hiding) for output in result.rejected),
            "written": None if result.written is None else tuple(map(hiding.text, result.written)),
            "degraded": tuple(map(hiding.text, result.degraded)),
            "usage": usage,
            "store": _NOWHERE,
            "bundle": None,
            "recorded": None,
        }
    )


def _output(output: BuildOutput, hiding: Hiding) -> BuildOutput:
    hiding.node(output.node, f"the output {output.path!r}")
    return output
