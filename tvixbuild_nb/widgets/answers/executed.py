"""A command in the sandbox of a run: how it ended, what it wrote, and where its config.json is not that of the run."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tvixbuild_nb.build import RunRecord
from tvixbuild_nb.keeper.log import LogWriter
from tvixbuild_nb.sandbox.executing import Executed
from tvixbuild_nb.widgets.kit import Forms, Html, tag, visible, volatile
from tvixbuild_nb.widgets.log import LogSource
from tvixbuild_nb.widgets.log.excerpt import excerpt
from tvixbuild_nb.widgets.log.static import log_html
from tvixbuild_nb.widgets.preview.static import diff_table

# Characters of the command.
MAX_COMMAND = 2_000
_PATIENCE = 2.0
_FOLD = "white-space:pre-wrap;overflow-wrap:anywhere"


def executed_forms(executed: Executed) -> Forms:
    """How it shows itself; nothing of the run's secrets is in it."""
    return Forms(text=lambda: str(executed), html=lambda: _html(executed))


def _html(executed: Executed) -> Html:
    mark = "✓ " if executed.ok else "✗ "
    verdict = visible(executed.run.redactor.text(executed.verdict))
    more = f"{executed.left_out:,} more bytes were not kept" if executed.left_out else None
    return tag(
        "div",
        tag("div", tag("code", "$ ", tag("b", _command(executed)), style=_FOLD)),
        tag("div", mark, tag("b", verdict), style=_FOLD),
        _output(executed) if executed.output else tag("p", tag("em", "it wrote nothing")),
        tag("p", tag("em", more)) if more else None,
        tag("p", volatile("presence", tag("em", str(executed.recorded)))) if executed.recorded is not None else None,
        _differences(executed),
    )


def _output(executed: Executed) -> Html:
    """As the log of a run is shown, with its colours, its bounds and its secrets hidden over line ends, too."""
    with TemporaryDirectory() as directory:
        record = RunRecord(Path(directory))
        writer = LogWriter(str(record.log_path), str(record.index_path))
        writer.write(0, executed.output.encode("utf-8", "replace"), time.time())
        writer.close()
        source = LogSource(record, redactor=executed.run.redactor)
        source.advance(_PATIENCE)
        try:
            return log_html(excerpt(source))
        finally:
            source.close()


def _command(executed: Executed) -> str:
    words = executed.command
    by_shell = len(words) == 3 and words[1] == "-c"
    text = words[2] if by_shell else words[0] if len(words) == 1 else shlex.join(words)
    shown = executed.run.redactor.text(text)
    more = len(shown) - MAX_COMMAND
    return f"{shown[:MAX_COMMAND]} [{more:,} more characters]" if more > 0 else shown


def _differences(executed: Executed) -> Html:
    diff = executed.differences
    if not diff:
        return tag("p", f"its config.json is that of {diff.other}")
    what = f"its config.json differs from that of {diff.other} in {', '.join(row.where for row in diff.rows[:5])}"
    more = f" and {len(diff) - 5} more" if len(diff) > 5 else ""
    return tag("details", tag("summary", what, more), diff_table(diff, "config.json", ("this command", diff.other)))
