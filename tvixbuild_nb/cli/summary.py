"""A run summed up, for people and for machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tvixbuild_nb.build import BuildResult, RunRecord, output_summary
from tvixbuild_nb.cli.screen import amount, safe

_STYLES = {"succeeded": "bold green", "failed": "bold red", "timed-out": "bold red", "cancelled": "yellow"}


def result_summary(result: BuildResult, record: RunRecord) -> dict[str, Any]:
    """The run as plain data; ``log`` is the path of the raw log, needles are indices into the request's."""
    return {
        "id": result.id,
        "status": result.status,
        "failed_at": result.failed_at,
        "exit_code": result.exit_code,
        "signal": result.signal,
        "message": result.message,
        "hint": result.hint,
        "outputs": [output_summary(output) for output in result.outputs],
        "written": None if result.written is None else list(result.written),
        "log": str(record.log_path),
        "timings": result.timings,
        "usage": result.usage.model_dump(mode="json"),
        "degraded": list(result.degraded),
        "bundle": None if result.bundle is None else str(result.bundle),
    }


def show_result(screen: Console, result: BuildResult, log: Path) -> None:
    """Print the verdict, the outputs, where the time went and where to look further."""
    screen.print(Text.assemble(f"run {result.id} ", (_lines(result.verdict()), _STYLES[result.status])), soft_wrap=True)
    if result.hint and not result.ok:
        screen.print(Text(f"  hint: {_lines(result.hint)}", style="bold"), soft_wrap=True)
    if result.outputs:
        screen.print(outputs_table(result))
    for path in result.written or ():
        screen.print(Text(f"  written: {safe(path)}"), soft_wrap=True)
    screen.print(Text(f"  timings: {timings(result)}", style="dim"), soft_wrap=True)
    screen.print(Text(f"  usage: {usage(result)}", style="dim"), soft_wrap=True)
    screen.print(Text(f"  log: {safe(str(log))}", style="dim"), soft_wrap=True)
    if result.bundle is not None:
        screen.print(Text(f"  kept bundle: {safe(str(result.bundle))}", style="dim"), soft_wrap=True)


def outputs_table(result: BuildResult) -> Table:
    """A row for each output: path, kind, true size, digest, needles."""
    table = Table()
    for name in ("output", "kind", "size", "digest", "needles"):
        table.add_column(name, overflow="fold", justify="right" if name == "size" else "left")
    for output in result.outputs:
        facts = output_summary(output)
        size = f"{facts['entries']} entries" if "entries" in facts else amount(facts["size"])
        digest = facts["digest"] or f"-> {safe(facts['target'])}"
        needles = ", ".join(map(str, output.needles)) or "none"
        table.add_row(*map(Text, (safe(output.path), output.kind, size, digest, needles)))
    return table


def timings(result: BuildResult) -> str:
    """Stages and their seconds, the whole at the end."""
    stages = [f"{stage} {seconds:.3f}" for stage, seconds in result.timings.items()]
    return ", ".join([*stages, f"all {result.finished - result.started:.3f} s"])


def usage(result: BuildResult) -> str:
    """What the build used, and where that is known from."""
    known = result.usage
    parts = [f"{seconds:.3f} s {name}" for name, seconds in (("wall", known.wall), ("CPU", known.cpu)) if seconds]
    if known.peak_memory:
        parts.append(f"{amount(known.peak_memory)} peak memory")
    return f"{', '.join(parts)} ({known.source})" if parts else known.source


def _lines(text: str) -> str:
    return "\n".join(map(safe, text.split("\n")))
