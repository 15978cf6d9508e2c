"""The three forms of a line of progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.text import Text

from tvixbuild_nb.castore.progress import Shown
from tvixbuild_nb.widgets.kit import Forms, tag
from tvixbuild_nb.widgets.progress.data import progress_data, progress_line

if TYPE_CHECKING:
    from tvixbuild_nb.widgets.kit.live import LiveView


def progress_forms(shown: Shown, live: Callable[[], LiveView] | None = None) -> Forms:
    """How progress shows itself; ``live`` makes the widget."""
    line = progress_line(progress_data(shown))
    return Forms(text=lambda: Text(line), html=lambda: tag("div", line, data_volatile="presence"), live=live)
