"""A command in the sandbox of a run: how it ended, what it wrote, and where its config.json is not that of the run."""

from __future__ import annotations

import shlex

from tvixbuild_nb.sandbox.executing import Executed
from tvixbuild_nb.widgets.kit import Forms, Html, tag, visible
from tvixbuild_nb.widgets.log import LogSource
from tvixbuild_nb.widgets.log.excerpt import excerpt
from tvixbuild_nb.widgets.log.static import log_html
from tvixbuild_nb.widgets.preview.static import diff_table
from tvixbuild_nb.widgets.run.data import end_data

# Characters of the command.
MAX_COMMAND = 2_000
_PATIENCE = 2.0
_SHELL = ("/bin/sh", "-c")
_FOLD = "white-space:pre-wrap;overflow-wrap:anywhere"


def executed_forms(executed: Executed) -> Forms:
    """How it shows itself; nothing of the run's secrets is in it."""
    return Forms(text=lambda: str(executed), html=lambda: _html(executed))


def _html(executed: Executed) -> Html:
    run = executed.run
    source = LogSource(run.record, redactor=run.redactor)
    source.advance(_PATIENCE)
    return tag(
        "div",
        tag("div", tag("code", "$ ", tag("b", _command(executed)), style=_FOLD)),
        _end(executed),
        log_html(excerpt(source)) if source.total else tag("p", tag("em", "it wrote nothing")),
        _differences(executed),
    )


def _command(executed: Executed) -> str:
    words = executed.command
    text = words[2] if words[:2] == _SHELL and len(words) == 3 else shlex.join(words)
    shown = executed.run.redactor.text(text)
    more = len(shown) - MAX_COMMAND
    return f"{shown[:MAX_COMMAND]} [{more:,} more characters]" if more > 0 else shown


def _end(executed: Executed) -> Html:
    run, result = executed.run, executed.run.result
    assert result is not None
    end = end_data(result, (), None, lambda text: visible(run.redactor.text(text)))
    mark = "✓" if executed.ok else "✗"
    # Of a command that failed by itself the message says no more than how it ended.
    itself = bool(end["exit"]) and result.failed_at == "build"
    names = () if executed.ok else ("hint",) if itself else ("message", "hint")
    said = [tag("div", f"{name}: {end[name]}") for name in names if end[name]]
    return tag("div", f"{mark} ", tag("b", end["exit"] if itself else end["headline"]), said, style=_FOLD)


def _differences(executed: Executed) -> Html:
    diff = executed.differences
    if not diff:
        return tag("p", f"its config.json is that of {diff.other}")
    what = f"its config.json differs from that of {diff.other} in {', '.join(row.where for row in diff.rows[:5])}"
    more = f" and {len(diff) - 5} more" if len(diff) > 5 else ""
    return tag("details", tag("summary", what, more), diff_table(diff, "config.json", ("this command", diff.other)))
