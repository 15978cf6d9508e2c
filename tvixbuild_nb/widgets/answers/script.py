"""A run as a shell script: what it asks for, how it is written to a file, and its text."""

from __future__ import annotations

from tvixbuild_nb.debug.script import Script
from tvixbuild_nb.widgets.kit import Forms, Html, tag

# Characters of its text; it names every output and every secret.
MAX_TEXT = 20_000
_PRE = "font-family:monospace;white-space:pre-wrap;overflow-wrap:anywhere"


def script_forms(script: Script) -> Forms:
    """How it shows itself; values of secrets are not in it by construction."""
    return Forms(text=lambda: str(script), html=lambda: _html(script))


def _html(script: Script) -> Html:
    text = script.text
    more = len(text) - MAX_TEXT
    secrets = ", ".join(script.secrets)
    return tag(
        "div",
        tag(
            "p",
            "a shell script that reproduces the run with plain runc; ",
            tag("code", ".write(path)"),
            " puts it in a file, with the bundle behind the text that is shown here",
        ),
        tag("p", f"it asks for the values of {secrets}, which are not in it") if secrets else None,
        tag(
            "details",
            tag("summary", f"the script, {text.count(chr(10)):,} lines"),
            tag("pre", text[:MAX_TEXT], style=_PRE),
            tag("p", tag("em", f"{more:,} more characters are not shown")) if more > 0 else None,
        ),
    )
