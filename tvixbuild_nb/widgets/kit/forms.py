"""The three forms of a view, and the display bundle that carries them all."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tvixbuild_nb.display import in_kernel
from tvixbuild_nb.escaping import visible
from tvixbuild_nb.widgets.kit.host import painted
from tvixbuild_nb.widgets.kit.html import Html, tag, volatile

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tvixbuild_nb.widgets.kit.live import LiveView

TEXT_WIDTH = 110
VIEW_TYPE = "application/vnd.jupyter.widget-view+json"
# What is printed stands as it is: no colours, nothing guessed from it or read into it.
_PLAIN: dict[str, Any] = {
    "color_system": None,
    **dict.fromkeys(("highlight", "markup", "emoji", "force_jupyter"), False),
}

Bundle = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Forms:
    """How one value shows itself; each form is made when it is asked for.

    ``text``: a rich renderable, a str stays as it is; ``html``: markup without scripts and without anything from
    elsewhere; ``live``: the widget, or None where there is no live form; ``adds``: it does not replace the static form
    but stands below it; ``note``: a line that stands above each of them, such as when and where it was recorded.
    """

    text: Callable[[], RenderableType]
    html: Callable[[], Html]
    live: Callable[[], LiveView] | None = None
    adds: bool = False
    note: str | None = None

    def bundle(self) -> Bundle:
        """All forms by MIME type; the live one only in a kernel, and when anywidget is installed.

        Where the page may not get the live one to paint (:mod:`tvixbuild_nb.widgets.kit.host`), and where that
        ``adds``, its widget holds the static form as well.
        """
        static, text = self.html(), self.text()
        plain = text if isinstance(text, str) else plain_text(text, text_width())
        if self.note is not None:
            note = volatile("presence", tag("p", tag("em", self.note)))
            static, plain = tag("div", note, static), f"{visible(self.note)}\n{plain}"
        data: Bundle = {"text/plain": plain, "text/html": str(static)}
        if self.live is not None and in_kernel() and can_live():
            form = painted(os.environ, sys.modules, sys.modules["IPython"].get_ipython().user_ns)
            if form != "static":
                held, live = self.adds or form == "both", self.live()
                live.note = visible(self.note or "")
                model = _both(static, live, stays=self.adds) if held else live.model_id
                data[VIEW_TYPE] = {"version_major": 2, "version_minor": 0, "model_id": model}
        return data


def _both(static: Html, live: LiveView, *, stays: bool) -> str:
    from tvixbuild_nb.widgets.kit.both import both

    return str(both(static, live, stays=stays).model_id)


def text_width() -> int:
    """Columns for text: the terminal's, where somebody sits at one, or else what a notebook's page has room for."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else TEXT_WIDTH


def plain_text(renderable: RenderableType, width: int = TEXT_WIDTH) -> str:
    """A rich renderable as text without colours."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=width, **_PLAIN)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get().rstrip("\n")


def can_live() -> bool:
    """Whether live views can be had: the extra ``notebook`` is installed."""
    try:
        import anywidget  # noqa: F401 - asked only whether it is there
    except ImportError:
        return False
    return True
