"""What the members of a record have to be: each is read as the type that its readers expect, or refused in words."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from tvixbuild_nb.build.events import EndEvent, recorded_event
from tvixbuild_nb.build.inside import Inside
from tvixbuild_nb.build.recorded import LATEST, RecordedPolicy, RunHost
from tvixbuild_nb.build.records.reading import RecordFile
from tvixbuild_nb.build.result import BuildResult
from tvixbuild_nb.build.visits import Visit
from tvixbuild_nb.errors import InvalidRecord, InvalidValue
from tvixbuild_nb.fs import AccessTrace
from tvixbuild_nb.keeper import STREAMS
from tvixbuild_nb.oci import Spec, SpecOptions
from tvixbuild_nb.oci.compare import Difference
from tvixbuild_nb.request import BuildRequest

_WRONG = (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError, OverflowError, ArithmeticError)
_INDEX = struct.Struct("<dBxxxIQ")


class _Process(BaseModel):
    """One of what the keeper tells of processes."""

    model_config = ConfigDict(frozen=True, strict=True)

    pid: int
    parent: int
    name: str
    command: list[str]
    state: str
    age: float
    cpu: float
    memory: int
    threads: str
    cwd: str | None
    call: list[int] | None
    where: str | None
    bits: int
    files: list[tuple[int, str, str]]


class _Processes(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    time: float
    processes: list[_Process]


_NAMES: TypeAdapter[list[str]] = TypeAdapter(list[str])
_DIFFERENCE: TypeAdapter[Difference] = TypeAdapter(Difference)
_TEXTS: TypeAdapter[dict[str, str]] = TypeAdapter(dict[str, str])


def _config(data: bytes) -> None:
    Spec.from_json(json.loads(data))


def _inside(data: bytes) -> None:
    Inside.from_json(data.decode()).seen()


def _events(data: bytes) -> None:
    events = [recorded_event.validate_json(line) for line in data.splitlines()]
    if any(isinstance(event, EndEvent) for event in events[:-1]):
        raise InvalidValue("something happens after the end")
    for event in events:
        _check_time(event.time)


def _visits(data: bytes) -> None:
    for line in data.splitlines():
        for row in Visit.model_validate_json(line).differences:
            _DIFFERENCE.validate_python(row)


def _result(data: bytes) -> BuildResult:
    result = BuildResult.model_validate_json(data)
    for moment in (result.started, result.finished):
        _check_time(moment)
    if not all(map(math.isfinite, result.timings.values())):
        raise InvalidValue("a stage took no finite time")
    return result


def _check_time(moment: float) -> None:
    if not 0 <= moment <= LATEST:
        raise InvalidValue(f"no moment: {moment}")


def _document(data: bytes) -> None:
    value: Any = json.loads(data)
    if not isinstance(value, dict):
        raise InvalidValue("not an object")


_DOCUMENTS: Mapping[str, Callable[[bytes], Any]] = {
    "request.json": BuildRequest.from_json,
    "secrets.json": _NAMES.validate_json,
    "options.json": SpecOptions.model_validate_json,
    "policy.json": RecordedPolicy.model_validate_json,
    "host.json": RunHost.model_validate_json,
    "config.json": _config,
    "origin.json": _TEXTS.validate_json,
    "result.json": _result,
    "events.jsonl": _events,
    "accesses.json": AccessTrace.from_json,
    "inside.json": _inside,
    "processes.json": _Processes.model_validate_json,
    "visits.jsonl": _visits,
    "explanation.json": _document,
}


def check_documents(file: RecordFile) -> tuple[BuildRequest, BuildResult]:
    """The request and the result of a record all of whose documents are what they should be.

    :class:`InvalidRecord` names the first that is not, and where they contradict each other.
    """
    found: dict[str, Any] = {}
    for name, read in _DOCUMENTS.items():
        if file.has(name):
            found[name] = _checked(file, name, read)
    request, result, manifest = found["request.json"], found["result.json"], file.manifest
    _check_index(file)
    if result.request_digest != manifest.request or result.status != manifest.status or result.id != manifest.run:
        raise InvalidRecord("it is of another run than the manifest says", path=f"{file.path}: result.json")
    if not manifest.secrets and request.digest != manifest.request:
        raise InvalidRecord("it has another digest than the manifest says", path=f"{file.path}: request.json")
    paths = [output.path for output in (*result.outputs, *result.rejected)]
    if any(path not in request.outputs for path in paths):
        raise InvalidRecord("an output that was not asked for", path=f"{file.path}: result.json")
    most = len(request.refscan_needles)
    if any(index >= most or index < 0 for each in (*result.outputs, *result.rejected) for index in each.needles):
        raise InvalidRecord("a needle that was not asked for", path=f"{file.path}: result.json")
    return request, result


def _checked(file: RecordFile, name: str, read: Callable[[bytes], Any]) -> Any:
    data = file.read(name)
    try:
        return read(data)
    except _WRONG as error:
        first = str(error).split("\n")
        reason = " ".join(first[:3]) or type(error).__name__
        raise InvalidRecord(f"not what it should be: {reason}", path=f"{file.path}: {name}") from error


def _check_index(file: RecordFile) -> None:
    """The index names each byte of the log once, in order."""
    if not file.has("log.index"):
        return
    rest, end = b"", 0
    for piece in file.pieces("log.index"):
        rest += piece
        whole = len(rest) - len(rest) % _INDEX.size
        for moment, stream, length, offset in _INDEX.iter_unpack(rest[:whole]):
            if offset != end or stream >= len(STREAMS) or not 0 <= moment <= LATEST:
                raise InvalidRecord("it does not fit the log", path=f"{file.path}: log.index")
            end += length
        rest = rest[whole:]
    if rest or end != file.manifest.members["log"].size:
        raise InvalidRecord("it does not fit the log", path=f"{file.path}: log.index")
