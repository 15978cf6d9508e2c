"""What happens during a build, as values: stages, log chunks, the end."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Stage: TypeAlias = Literal["request", "render", "queue", "bundle", "mount", "run", "ingest", "result", "clean"]
Status: TypeAlias = Literal["succeeded", "failed", "cancelled", "timed-out"]
FailedAt: TypeAlias = Literal["setup", "exec", "build", "output", "ingest"]
Stream: TypeAlias = Literal["stdout", "stderr", "terminal"]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")

    time: float
    """Seconds since the epoch, by the clock of the machine that built."""


class StageEvent(_Event):
    """A stage of the build's life began or ended; ``log_offset`` is the size of the log at that moment, in bytes."""

    type: Literal["stage"] = "stage"
    stage: Stage
    state: Literal["started", "finished", "failed"]
    log_offset: int = 0
    detail: str | None = None


class LogEvent(_Event):
    """Bytes of output as they came: ``data`` is a chunk of ``stream``, ``offset`` its place in the raw log."""

    type: Literal["log"] = "log"
    stream: Stream
    offset: int
    data: bytes


class EndEvent(_Event):
    """The build is over: its verdict. Always the last event of a run."""

    type: Literal["end"] = "end"
    status: Status
    failed_at: FailedAt | None = None
    exit_code: int | None = None
    signal: int | None = None
    log_offset: int = 0
    message: str | None = None


Event: TypeAlias = Annotated[StageEvent | LogEvent | EndEvent, Field(discriminator="type")]
RecordedEvent: TypeAlias = Annotated[StageEvent | EndEvent, Field(discriminator="type")]

recorded_event: TypeAdapter[StageEvent | EndEvent] = TypeAdapter(RecordedEvent)
"""Reads one line of a run's events file."""
