"""What views mark in their HTML with ``data-volatile``: replaced, or taken out, and nothing else touched."""

from __future__ import annotations

import html
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import NamedTuple

from tvixbuild_nb.lab.scrub.rules import Mark, Numbers

ATTRIBUTE = "data-volatile"
_VOID = frozenset({"area", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})


class Marked(NamedTuple):
    """A marked element: the ``kind`` it is marked with, where it begins and ends, and where its content does."""

    kind: str
    start: int
    inner: int
    inner_end: int
    end: int


class _Finder(HTMLParser):
    """Finds the outermost marked elements; what is not closed ends with the text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[Marked] = []
        self._text = text
        self._lines = [0]
        for line in text.split("\n"):
            self._lines.append(self._lines[-1] + len(line) + 1)
        self._open: list[tuple[str, str | None, int, int]] = []
        self.feed(text)
        self.close()
        while self._open:
            self._pop(len(text), len(text))

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        if name in _VOID:
            return
        start = self._here()
        inner = start + len(self.get_starttag_text() or "")
        self._open.append((name, dict(attributes).get(ATTRIBUTE), start, inner))

    def handle_endtag(self, name: str) -> None:
        if all(name != opened for opened, *_ in self._open):
            return
        here = self._here()
        end = self._text.find(">", here) + 1 or len(self._text)
        while self._open:
            closed = self._open[-1][0] == name
            self._pop(here, end if closed else here)
            if closed:
                return

    def _pop(self, inner_end: int, end: int) -> None:
        _, kind, start, inner = self._open.pop()
        if kind is not None:
            # What is marked within it goes with it.
            self.found = [mark for mark in self.found if mark.start < start]
            self.found.append(Marked(kind, start, inner, inner_end, end))

    def _here(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column


def marked_in(text: str) -> list[Marked]:
    """The outermost marked elements of some HTML, in order."""
    return _Finder(text).found if ATTRIBUTE in text else []


def unmarked(text: str, marks: Mapping[str, Mark], numbers: Numbers) -> str:
    """HTML with the content of every marked element replaced; of what goes altogether nothing is left.

    A kind that nobody knows, such as a later version's, counts as ``host``.
    """
    parts, position = [], 0
    for found in marked_in(text):
        mark = marks.get(found.kind, marks["host"])
        parts.append(text[position : found.start])
        if mark.replacement:
            content = mark.text(html.unescape(text[found.inner : found.inner_end]), numbers)
            parts += text[found.start : found.inner], html.escape(content), text[found.inner_end : found.end]
        elif mark.replacement is not None:
            parts.append(text[found.start : found.end])
        position = found.end
    return "".join(parts) + text[position:]
