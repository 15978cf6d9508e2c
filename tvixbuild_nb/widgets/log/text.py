"""A log in a terminal: its beginning and its end, bounded."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from tvixbuild_nb.widgets.log.excerpt import Excerpt, summary
from tvixbuild_nb.widgets.log.static import MARKS

_NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_STYLES = {"b": "bold", "d": "dim", "i": "italic", "u": "underline", "s": "strike", "inv": "reverse"}
_COLOURS = [*_NAMES, *(f"bright_{name}" for name in _NAMES)]


def log_text(log: Excerpt) -> Text:
    """The excerpt, one line a line; without colours where the terminal has none."""
    text = Text(overflow="fold").append(summary(log.state), style="dim")
    for line in log.first:
        text.append_text(_line(line))
    if log.left_out:
        text.append(f"\n[... {log.left_out:,} lines not shown here ...]", style="dim")
    for line in log.last:
        text.append_text(_line(line))
    return text


def _line(line: dict[str, Any]) -> Text:
    text = Text()
    text.append(f"\n{line['n']:>6} {MARKS[line['s']]} ", style="dim")
    for part, classes in line.get("p") or [[line["x"], ""]]:
        text.append(part, style=" ".join(_style(name) for name in classes.split()))
    if "more" in line:
        text.append(f" [{line['more']:,} more characters]", style="dim")
    return text


def _style(name: str) -> str:
    if name in _STYLES:
        return _STYLES[name]
    colour = name[1:] if "#" in name else _COLOURS[int(name[1:])]
    return colour if name[0] == "f" else f"on {colour}"
