"""The three forms of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.panel import Panel

from tvixbuild_nb.sandbox import Run
from tvixbuild_nb.widgets.kit import Bundle, Forms, Html
from tvixbuild_nb.widgets.log.excerpt import excerpt
from tvixbuild_nb.widgets.log.source import LogSource
from tvixbuild_nb.widgets.log.static import log_html
from tvixbuild_nb.widgets.log.text import log_text
from tvixbuild_nb.widgets.run.data import run_data
from tvixbuild_nb.widgets.run.facts import run_facts
from tvixbuild_nb.widgets.run.present import is_shown_by_this_cell
from tvixbuild_nb.widgets.run.static import run_html
from tvixbuild_nb.widgets.run.text import run_text

if TYPE_CHECKING:
    from tvixbuild_nb.widgets.run.live import RunView

LINES = 50
# So many lines of a log are read without having been asked for.
AT_ONCE = 20
_PATIENCE = 2.0
_TEXT_WIDE = 200


def run_bundle(run: Run) -> Bundle:
    """The display bundle of a run; of one that the same cell has already shown only the verdict's line.

    So ``sb.run()`` as a cell's last line, which has shown the live view, does not show everything twice.
    """
    if is_shown_by_this_cell(run):
        return {"text/plain": str(run)}
    return RunForms(run).bundle()


class RunForms:
    """One display of a run: its forms as they are at the moment, always with the same widget."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.source = LogSource(run.record, redactor=run.redactor)
        self._view: RunView | None = None

    def bundle(self) -> Bundle:
        """All forms by MIME type, as things stand now."""
        self.source.advance(_PATIENCE)
        return Forms(text=self._text, html=self._html, live=self.live).bundle()

    def stored(self) -> Bundle:
        """As :meth:`bundle`, those that stay in a saved notebook: the ones that do not move."""
        self.source.advance(_PATIENCE)
        return Forms(text=self._text, html=self._html).bundle()

    def _text(self) -> Panel:
        return run_text(run_data(run_facts(self.run)), log_text(excerpt(self.source, 0, LINES, _TEXT_WIDE)))

    def _html(self) -> Html:
        return run_html(run_data(run_facts(self.run)), log_html(excerpt(self.source, 0, LINES), at_once=AT_ONCE))

    def live(self) -> RunView:
        """The widget; there is one for each of these."""
        if self._view is None:
            from tvixbuild_nb.widgets.run.live import RunView

            self._view = RunView(self.run, self.source, self.stored)
        return self._view
