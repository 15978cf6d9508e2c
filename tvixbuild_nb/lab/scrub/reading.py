"""HTML as the text that somebody reads: what is compared, and what a notebook shows where HTML is not shown."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_LINES = frozenset({
    "address", "blockquote", "caption", "dd", "details", "div", "dl", "dt", "figure", "h1", "h2", "h3", "h4", "h5",
    "h6", "hr", "li", "ol", "p", "pre", "section", "summary", "table", "tbody", "thead", "tr", "ul",
})  # fmt: skip
_CELLS = frozenset({"td", "th"})
_UNSEEN = frozenset({"script", "style", "template", "title"})
_BETWEEN_CELLS = "  "


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[str] = [""]
        self._unseen = 0
        self._pre = 0

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        if name in _UNSEEN:
            self._unseen += 1
        elif name == "br" or (name in _LINES and not self._in_cell_start()):
            self._line()
        elif name in _CELLS and self.lines[-1]:
            self.lines[-1] = self.lines[-1].rstrip() + _BETWEEN_CELLS
        elif name == "img":
            self._add(dict(attributes).get("alt") or "")
        if name == "li":
            self._add("- ")
        if name == "pre":
            self._pre += 1

    def handle_endtag(self, name: str) -> None:
        if name in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        elif name in _LINES:
            self._line()
        if name == "pre":
            self._pre = max(0, self._pre - 1)

    def handle_data(self, data: str) -> None:
        if self._unseen:
            return
        if self._pre:
            first, *rest = data.split("\n")
            self._add(first)
            for line in rest:
                self.lines.append(line)
            return
        text = re.sub(r"\s+", " ", data)
        if not self.lines[-1] or self.lines[-1].endswith(" "):
            text = text.lstrip()
        self._add(text)

    def _in_cell_start(self) -> bool:
        return self.lines[-1].endswith(_BETWEEN_CELLS)

    def _add(self, text: str) -> None:
        self.lines[-1] += text

    def _line(self) -> None:
        if self.lines[-1].strip():
            self.lines.append("")


def html_text(html: str) -> str:
    """What a person reads: a line per block and row, cells side by side, whitespace as a page has it."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return "\n".join(line.rstrip() for line in reader.lines if line.strip())
