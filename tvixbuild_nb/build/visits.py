"""Visit: a command that was executed in the sandbox of a run, and its answer, as the run's directory keeps it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

# Bytes of a command's output that are kept.
MOST = 256 << 10


class Visit(BaseModel):
    """One command and its answer, without the values of secrets.

    ``asked``: by ``run.exec`` (``command`` are the words of a program, or one text for a shell), or in a ``shell``
    (the text of one cell), which ``phase`` of stdenv it was in; ``tools`` and ``fresh`` as they were asked for.
    ``greeting``: nobody asked, a shell did it when it was opened, such as the phases before the wanted one.
    ``exit_code``, ``signal`` and ``reason`` tell how it ended, ``output`` what it wrote to both streams (the first
    256 KiB), ``left_out`` how many bytes more there were; ``seconds`` how long it took. ``differences`` are the rows of
    what differed from the run's config.json, as JSON data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    asked: Literal["exec", "shell"] = "exec"
    command: tuple[str, ...] | str
    tools: tuple[str, ...] = ()
    fresh: bool = False
    phase: str | None = None
    greeting: bool = False
    exit_code: int | None = None
    signal: int | None = None
    reason: str | None = None
    output: str = ""
    left_out: int = 0
    seconds: float = 0.0
    differences: tuple[dict[str, Any], ...] = ()
