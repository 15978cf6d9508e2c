"""A log without a kernel: its beginning and its end."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.widgets.kit import Html, fragment, tag
from tvixbuild_nb.widgets.log.excerpt import Excerpt, summary

_STYLES = {
    "b": "font-weight:bold",
    "d": "opacity:0.75",
    "i": "font-style:italic",
    "u": "text-decoration:underline",
    "s": "text-decoration:line-through",
}
# No text colour can be read in light and dark themes alike: a colour becomes a tint behind the text, so thin that the
# theme's own text can be read on it in both.
_BASE = ("#000000", "#cd0000", "#00cd00", "#cdcd00", "#0000ee", "#cd00cd", "#00cdcd", "#e5e5e5",
    "#7f7f7f", "#ff0000", "#00ff00", "#ffff00", "#5c5cff", "#ff00ff", "#00ffff", "#ffffff")  # fmt: skip
_TINT = "40"
MARKS = ("   ", "err", "tty")
_PRE = "margin:0;font-family:monospace;white-space:pre-wrap;overflow-wrap:anywhere"


def log_html(log: Excerpt, *, at_once: int | None = None) -> Html:
    """The excerpt, self-contained; of more than ``at_once`` lines (None: of any number) the lines are folded."""
    left_out = None
    if log.left_out:
        left_out = tag("p", tag("em", f"{log.left_out:,} lines are not shown here"))
    return tag(
        "details",
        tag("summary", summary(log.state)),
        tag("pre", [_line(line) for line in log.first], style=_PRE),
        left_out,
        tag("pre", [_line(line) for line in log.last], style=_PRE) if log.last else None,
        open=at_once is None or len(log.first) + len(log.last) <= at_once,
    )


def _line(line: dict[str, Any]) -> Html:
    parts = line.get("p") or [[line["x"], ""]]
    more = tag("em", f" [{line['more']:,} more characters]") if "more" in line else None
    text = fragment([_part(text, classes) for text, classes in parts], more)
    body = tag("b", text) if line.get("k") == "phase" else text
    return fragment(f"{line['n']:>6} {MARKS[line['s']]} ", body, "\n")


def _part(text: str, classes: str) -> Html:
    style = ";".join(filter(None, map(_style, classes.split())))
    return tag("span", text, style=style) if style else fragment(text)


def _style(name: str) -> str | None:
    if name in _STYLES:
        return _STYLES[name]
    if name[0] == "f":
        return f"background:{name[1:] if '#' in name else _BASE[int(name[1:])]}{_TINT}"
    if name[0] == "g":
        return f"border-bottom:2px solid {name[1:] if '#' in name else _BASE[int(name[1:])]}"
    return "font-weight:bold" if name == "inv" else None
