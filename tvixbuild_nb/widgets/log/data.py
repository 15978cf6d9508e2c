"""Lines of a log as plain data, safe to look at."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tvixbuild_nb.widgets.log.ansi import Span, spans
from tvixbuild_nb.widgets.log.folds import Fold, nix_message
from tvixbuild_nb.widgets.log.source import LogSource, SourceLine

_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")
Hide = Callable[[str], str]
WIDE = 4096
"""Characters of a line that are sent unasked."""


def line_spans(raw: bytes, hide: Hide | None = None) -> list[Span]:
    """What a line shows: its text with styles, without what ``hide`` replaces."""
    text = raw.decode("utf-8", "replace")
    if hide is not None:
        text = hide(text)
    found = spans(text)
    if hide is not None and len(found) > 1:
        # Colours in the middle of a secret do not make it less of one.
        plain = "".join(part for part, _ in found)
        if (hidden := hide(plain)) != plain:
            return [(hidden, "")]
    return found


def plain_line(raw: bytes, hide: Hide | None = None) -> str:
    """The text of a line as it is shown, without styles: what a search looks at."""
    if hide is None and raw.isascii() and raw[:5] != b"@nix ":
        # Most lines, and a search sees them all.
        text = _COLOURS.sub("", raw.decode("ascii"))
        if text.isprintable():
            return text
    return "".join(text for text, _ in _shown(raw, hide)[0])


def _shown(raw: bytes, hide: Hide | None) -> tuple[list[Span], str | None]:
    message = nix_message(raw)
    if message is None:
        return line_spans(raw, hide), None
    if message.get("action") == "setPhase":
        return line_spans(f"phase: {message.get('phase', '')}".encode("utf-8", "replace"), hide), "phase"
    if isinstance(message.get("msg"), str):
        return line_spans(str(message["msg"]).replace("\n", " ").encode("utf-8", "replace"), hide), "nix"
    return line_spans(raw, hide), "nix"


def line_data(line: SourceLine, hide: Hide | None = None, wide: int = WIDE) -> dict[str, Any]:
    """``{n, t, s, x | p, k?, more?}``: number, time, stream, text or ``[text, classes]``, kind, characters cut off."""
    parts, kind = _shown(line.raw, hide)
    data: dict[str, Any] = {"n": line.number, "t": round(line.time, 3), "s": line.stream}
    length = sum(len(text) for text, _ in parts)
    if length > wide:
        parts, data["more"] = _first(parts, wide), length - wide
    if len(parts) > 1 or (parts and parts[0][1]):
        data["p"] = [list(part) for part in parts]
    else:
        data["x"] = parts[0][0] if parts else ""
    if kind is not None:
        data["k"] = kind
    return data


def _first(parts: list[Span], wide: int) -> list[Span]:
    found: list[Span] = []
    for text, classes in parts:
        found.append((text[:wide], classes))
        wide -= len(text)
        if wide <= 0:
            break
    return found


def fold_data(fold: Fold, hide: Hide | None = None) -> dict[str, Any]:
    """A fold, its ``last`` None while it grows."""
    name = None if fold.name is None else plain_line(fold.name.encode("utf-8", "replace"), hide)
    return {"kind": fold.kind, "first": fold.first, "last": fold.last, "name": name}


def state_data(source: LogSource, running: bool) -> dict[str, Any]:
    """How far the log is."""
    return {
        "total": source.total,
        "settled": source.settled,
        "size": source.size,
        "began": source.began,
        "running": running,
        "folds": len(source.folds.closed),
        "folds_missed": source.folds.missed,
        "open": [fold_data(fold, source.hide) for fold in source.folds.open],
    }
