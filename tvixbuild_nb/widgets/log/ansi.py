"""Terminal output as text and styles: colours are kept, whatever else a terminal would act on is gone or visible."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tvixbuild_nb.sandbox.printer import CONTROL_SEQUENCE, OTHER_SEQUENCE, STRING_SEQUENCE
from tvixbuild_nb.widgets.kit import visible
from tvixbuild_nb.widgets.log.sgr import PLAIN, applied, classes

Piece = tuple[str, int]
"""Text as it came, without escape sequences, and its style (see :mod:`tvixbuild_nb.widgets.log.sgr`)."""
Span = tuple[str, str]
"""Text that is safe to look at, and the names of its style."""

# ESC c, a full reset, takes colours back as well.
_TOKEN = re.compile(
    rf"(?P<colour>\x1b\[(?P<codes>[0-9;:]*)m|\x1bc)|(?:{CONTROL_SEQUENCE}|{STRING_SEQUENCE}|{OTHER_SEQUENCE})"
    r"|(?P<back>\r)|(?P<text>[^\x1b\r]+)",
    re.DOTALL,
)
_COLOURS = re.compile(rb"\x1b(?:\[([0-9;:]*)m|c)")
_RESET = (b"\x1b[0m", b"\x1b[m")


def pieces(text: str, style: int = PLAIN) -> list[Piece]:
    """One line of terminal output, begun in ``style``, as it would stand there at its end.

    A carriage return begins the line anew, so that of a progress bar the last state is left.
    """
    text = text.rstrip("\r")
    if "\x1b" not in text and "\r" not in text:
        return [(text, style)] if text else []
    found: list[Piece] = []
    for token in _TOKEN.finditer(text):
        if token["text"]:
            found.append((token["text"], style))
        elif token["back"]:
            found = []
        elif token["colour"]:
            style = applied(style, token["codes"] or "")
    return found


def style_after(line: bytes, style: int) -> int:
    """The style that a line, begun in ``style``, leaves behind for the next."""
    last = line.rfind(b"\x1b")
    if last < 0:
        return style
    if line.startswith(_RESET, last):
        return PLAIN
    for codes in _COLOURS.findall(line):
        style = applied(style, codes.decode())
    return style


def spans(found: Iterable[Piece]) -> list[Span]:
    """The pieces, made visible; neighbours differ in style, none is empty."""
    shown: list[Span] = []
    for text, style in found:
        text, names = visible(text, keep="\t"), classes(style)
        if shown and shown[-1][1] == names:
            shown[-1] = (shown[-1][0] + text, names)
        elif text:
            shown.append((text, names))
    return shown
