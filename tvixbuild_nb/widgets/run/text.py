"""A run in a terminal: a panel with verdict, stages, what it used, outputs, the end of its log."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tvixbuild_nb.widgets.run.static import MARKS, going_on, headline, written_words
from tvixbuild_nb.widgets.run.use import use_words

_STYLES = {"succeeded": "green", "failed": "bold red", "cancelled": "yellow", "timed-out": "bold red"}


def run_text(data: dict[str, Any], log: RenderableType) -> Panel:
    """The run; ``log`` is the end of its log."""
    end, style = data["end"], _STYLES.get(data["status"], "cyan")
    said = Text(headline(data), style=style).append(going_on(data) or "")
    command = Text(data["command"], style="dim", overflow="fold")
    noted = [Text(end["recorded"], style="italic")] if end is not None and end["recorded"] else []
    parts: list[RenderableType] = [said, *noted, command, _stages(data["stages"])]
    if end is not None:
        parts.append(_verdict(end))
        if end["outputs"]:
            parts.append(_outputs(end["outputs"], end["outputs_are"]))
    elif data["use"]:
        parts.append(Text(use_words(data["use"])))
    parts.extend(map(_finding, data["findings"]))
    parts.append(log)
    return Panel(Group(*parts), title=Text(f"run {data['run']}"), title_align="left")


def _finding(found: dict[str, Any]) -> Text:
    text = Text(f"{found['cause']} ({found['confidence']})", style="bold")
    for line in (*found["evidence"], *f"do: {found['cure']}".split("\n")):
        text.append(f"\n  {line}", style="not bold")
    return text


def _stages(stages: list[dict[str, Any]]) -> Text:
    parts = [f"{MARKS[stage['state']]} {stage['name']} {stage['took'] or ''}".rstrip() for stage in stages]
    return Text("  ".join(parts))


def _verdict(end: dict[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, text in (
        ("whose fault", end["fault"]),
        ("message", end["message"]),
        ("hint", end["hint"]),
        ("the command", end["exit"]),
        ("without", "\n".join(end["degraded"])),
        ("used", use_words(end["usage"])),
        ("kept bundle", end["bundle"]),
        ("written", "\n".join(written_words(end))),
    ):
        if text:
            table.add_row(Text(name, style="bold"), Text(text, overflow="fold"))
    return table


def _outputs(outputs: list[dict[str, Any]], what: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in (what, "kind", "size", "digest", "needles"):
        table.add_column(name, overflow="fold")
    for output in outputs:
        digest = (output["digest"] or "")[:16]
        cells = (output["path"], output["kind"], output["size"], digest, ", ".join(output["needles"]))
        table.add_row(*map(Text, cells))
    return table
