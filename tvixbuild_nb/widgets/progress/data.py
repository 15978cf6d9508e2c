"""What a line of progress says, as plain data."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.castore.progress import Shown, human
from tvixbuild_nb.widgets.kit import visible


def progress_data(shown: Shown) -> dict[str, Any]:
    """The words of the line; ``ended`` is None while the work goes on."""
    seconds, size = shown.seconds, shown.bytes
    ended = None
    if shown.over:
        ended = "done" if shown.failed is None else f"ended by {type(shown.failed).__name__}"
    return {
        "title": visible(shown.title),
        "files": f"{shown.files:,} file{'' if shown.files == 1 else 's'}",
        "size": human(size),
        "rate": f"{human(int(size / max(seconds, 1e-9)))}/s",
        "time": f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)}:{int(seconds % 60):02} min",
        "ended": ended,
    }


def progress_line(data: dict[str, Any]) -> str:
    """All of it in one line."""
    said = f"{data['title']}: {data['files']}, {data['size']} in {data['time']} ({data['rate']})"
    return said if data["ended"] == "done" else f"{said}, {data['ended'] or 'goes on'}"
