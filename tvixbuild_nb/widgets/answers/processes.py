"""The processes of a sandbox as a table: who was started by whom, and waits for what."""

from __future__ import annotations

import re

from tvixbuild_nb.castore.progress import human
from tvixbuild_nb.debug.processes import Process, ProcessTree
from tvixbuild_nb.widgets.kit import Forms, Html, tag, visible, volatile
from tvixbuild_nb.widgets.kit.html import Child
from tvixbuild_nb.widgets.kit.tables import left_out, table

MAX_PROCESSES = 200
MAX_COMMAND = 300
_MAX_DEPTH = 12
# "its child 2 (sh)"
_PROCESS = re.compile(r"\b(\d+)(?= \()")
_HEAD = ("process", "command", "waits for", "age", "cpu", "memory")


def processes_forms(tree: ProcessTree) -> Forms:
    """How the processes of a sandbox show themselves."""
    return Forms(text=lambda: str(tree), html=lambda: _html(tree))


def _html(tree: ProcessTree) -> Html:
    rows = [_row(each, depth) for each, depth in tree.ordered()]
    caption = f"{len(tree)} process{'' if len(tree) == 1 else 'es'}, {tree.when}"
    return tag(
        "div",
        table(_HEAD, rows[:MAX_PROCESSES], long=("command", "waits for"), caption=caption),
        left_out(len(rows) - MAX_PROCESSES, "processes"),
    )


def _row(each: Process, depth: int) -> tuple[Child, ...]:
    # Not by the indent alone: who reads the cells one by one hears whose child it is.
    above = tag("span", " of ", volatile("pid", str(each.parent)), style="opacity:0.75") if each.parent else None
    place = tag("span", volatile("pid", str(each.pid)), above, style=f"padding-left:{min(depth, _MAX_DEPTH)}em")
    command = visible(" ".join(each.command) or f"[{each.name}]")
    shown = command if len(command) <= MAX_COMMAND else f"{command[:MAX_COMMAND]}…"
    spent = [volatile("seconds", f"{seconds:.1f} s") for seconds in (each.age, each.cpu)]
    return place, tag("code", shown), _doing(each), *spent, volatile("amount", human(each.memory))


def _doing(each: Process) -> list[Child]:
    """What it waits for; processes that are named in it stand as numbers, too."""
    parts = _PROCESS.split(visible(each.doing))
    return [volatile("pid", part) if index % 2 else part for index, part in enumerate(parts)]
