"""A run summed up, for people and for machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from tvixbuild_nb.build import BuildOutput, BuildResult, RunRecord, output_summary
from tvixbuild_nb.cli.screen import amount, counted, entries, safe
from tvixbuild_nb.debug import Explanation

STYLES = {"succeeded": "bold green", "failed": "bold red", "timed-out": "bold red", "cancelled": "yellow"}


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
        "rejected": [output_summary(output) for output in result.rejected],
        "written": None if result.written is None else list(result.written),
        "log": str(record.log_path),
        "timings": result.timings,
        "usage": result.usage.model_dump(mode="json"),
        "degraded": list(result.degraded),
        "bundle": None if result.bundle is None else str(result.bundle),
        "recorded": None if result.recorded is None else result.recorded.model_dump(mode="json"),
    }


def show_result(screen: Console, result: BuildResult, log: Path, explanation: Explanation | None = None) -> None:
    """Print the verdict, why it failed, the outputs, where the time went and where to look further."""
    screen.print(Text.assemble(f"run {result.id} ", (_lines(result.verdict()), STYLES[result.status])), soft_wrap=True)
    if result.recorded is not None:
        screen.print(Text(f"  {safe(str(result.recorded))}", style="bold cyan"), soft_wrap=True)
    if result.hint and not result.ok and (explanation is None or explanation.first is None):
        # What explains it knows what the hint says, and more.
        screen.print(Text(f"  hint: {_lines(result.hint)}", style="bold"), soft_wrap=True)
    if explanation is not None and explanation.wrong:
        notes = [f"not looked into: {one}" for one in explanation.unseen]
        for text in (*map(str, explanation), *notes):
            screen.print(Text(_lines(text)), soft_wrap=True)
    for output in result.outputs:
        screen.print(output_line(output), soft_wrap=True)
    for output in result.rejected:
        screen.print(
            Text("  not taken, but there to be looked at:", style="bold yellow"), output_line(output), soft_wrap=True
        )
    for path in result.written or ():
        screen.print(Text(f"  written: {safe(path)}"), soft_wrap=True)
    if result.usage.oom_kills:
        # Also after a success: a build that does without the process it lost may have made less.
        screen.print(Text(f"  {memory_kills(result.usage.oom_kills)}", style="bold yellow"), soft_wrap=True)
    screen.print(Text(f"  timings: {timings(result)}", style="dim"), soft_wrap=True)
    screen.print(Text(f"  usage: {usage(result)}", style="dim"), soft_wrap=True)
    screen.print(Text(f"  log: {safe(str(log))}", style="dim"), soft_wrap=True)
    if result.bundle is not None:
        screen.print(Text(f"  kept bundle: {safe(str(result.bundle))}", style="dim"), soft_wrap=True)


def output_line(output: BuildOutput) -> Text:
    """Path, kind, true size, digest (whole, to be copied) and needles of one output."""
    facts = output_summary(output)
    if "target" in facts:
        what = f"symlink to {safe(facts['target'])}"
    else:
        size = entries(facts["entries"]) if "entries" in facts else amount(facts["size"])
        what = f"{output.kind} of {size}, {facts['digest']}"
    needles = f", needles {', '.join(map(str, output.needles))}" if output.needles else ""
    return Text.assemble("  ", (safe(output.path), "bold"), f": {what}{needles}")


def timings(result: BuildResult) -> str:
    """Stages and their seconds, the whole at the end."""
    stages = [f"{stage} {seconds:.3f}" for stage, seconds in result.timings.items()]
    return ", ".join([*stages, f"all {result.finished - result.started:.3f} s"])


def memory_kills(count: int) -> str:
    """What the kernel did when memory ran out, in words."""
    return f"out of memory: the kernel killed {counted(count, 'process', 'processes')} of the build"


def usage(result: BuildResult) -> str:
    """What the build used, and where that is known from."""
    known = result.usage
    parts = [f"{seconds:.3f} s {name}" for name, seconds in (("wall", known.wall), ("CPU", known.cpu)) if seconds]
    if known.peak_memory:
        parts.append(f"{amount(known.peak_memory)} peak memory")
    return f"{', '.join(parts)} ({known.source})" if parts else known.source


def _lines(text: str) -> str:
    return "\n".join(map(safe, text.split("\n")))
