"""Terminal output as text and styles: colours are kept, whatever else a terminal would act on is gone or visible."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tvixbuild_nb.sandbox.printer import CONTROL_SEQUENCE, OTHER_SEQUENCE, STRING_SEQUENCE
from tvixbuild_nb.widgets.kit import visible

Span = tuple[str, str]
"""Text, and its classes: b(old), d(im), i(talic), u(nderline), s(truck), inv(erse), f0-f15, g0-g15 (background)."""

_TOKEN = re.compile(
    rf"\x1b\[(?P<colour>[0-9;:]*)m|(?P<drop>{CONTROL_SEQUENCE}|{STRING_SEQUENCE}|{OTHER_SEQUENCE})"
    r"|(?P<back>\r)|(?P<text>[^\x1b\r]+)",
    re.DOTALL,
)
_SWITCHES = {1: "b", 2: "d", 3: "i", 4: "u", 7: "inv", 9: "s"}
_OFF = {22: "bd", 23: "i", 24: "u", 27: ("inv",), 29: "s"}
# xterm's sixteen, for the nearest of them.
_BASE = (
    (0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0), (0, 0, 238), (205, 0, 205), (0, 205, 205), (229, 229, 229),
    (127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0), (92, 92, 255), (255, 0, 255), (0, 255, 255),
    (255, 255, 255),
)  # fmt: skip


def spans(text: str) -> list[Span]:
    """One line of terminal output as it would stand there at its end; neighbours differ in style, none is empty.

    A carriage return begins the line anew, so that of a progress bar the last state is left. Colours beyond the
    sixteen become the nearest of these: each theme has a palette in which all of them can be read.
    """
    text = text.rstrip("\r")
    if "\x1b" not in text and "\r" not in text:
        return [(visible(text, keep="\t"), "")] if text else []
    style = _Style()
    found: list[Span] = []
    for token in _TOKEN.finditer(text):
        if token["text"]:
            shown, classes = visible(token["text"], keep="\t"), style.classes
            if found and found[-1][1] == classes:
                found[-1] = (found[-1][0] + shown, classes)
            else:
                found.append((shown, classes))
        elif token["back"]:
            found = []
        elif token["colour"] is not None:
            style.apply(token["colour"])
    return found


class _Style:
    def __init__(self) -> None:
        self._on: dict[str, None] = {}
        self._ground: dict[str, str] = {}
        self.classes = ""

    def apply(self, codes: str) -> None:
        """Take one SGR sequence; what is unknown in it is passed over."""
        numbers = _numbers(codes)
        for code in numbers:
            if code == 0:
                self._on, self._ground = {}, {}
            elif code in _SWITCHES:
                self._on[_SWITCHES[code]] = None
            elif code in _OFF:
                for name in _OFF[code]:
                    self._on.pop(name, None)
            elif code in (38, 48):
                colour = _extended(numbers)
                if colour is not None:
                    self._ground["f" if code == 38 else "g"] = f"{'f' if code == 38 else 'g'}{colour}"
            elif code in (39, 49):
                self._ground.pop("f" if code == 39 else "g", None)
            else:
                for low, kind, first in ((30, "f", 0), (40, "g", 0), (90, "f", 8), (100, "g", 8)):
                    if low <= code < low + 8:
                        self._ground[kind] = f"{kind}{first + code - low}"
        self.classes = " ".join(sorted([*self._on, *self._ground.values()]))


def _numbers(codes: str) -> Iterator[int]:
    # With colons a true colour may have an empty field for its colour space: 38:2::r:g:b.
    codes = re.sub(r"([34]8):2::", r"\1:2:", codes)
    return iter([min(int(code or 0), 9999) if len(code) < 6 else 9999 for code in re.split("[;:]", codes)])


def _extended(numbers: Iterator[int]) -> int | None:
    kind = next(numbers, None)
    if kind == 5:
        index = next(numbers, 0)
        if index < 16:
            return index
        if index >= 232:
            level = 8 + 10 * (min(index, 255) - 232)
            return _nearest(level, level, level)
        cube = index - 16
        steps = [0 if step == 0 else 55 + 40 * step for step in (cube // 36, cube // 6 % 6, cube % 6)]
        return _nearest(*steps)
    if kind == 2:
        return _nearest(next(numbers, 0), next(numbers, 0), next(numbers, 0))
    return None


def _nearest(red: int, green: int, blue: int) -> int:
    distances = [(red - r) ** 2 + (green - g) ** 2 + (blue - b) ** 2 for r, g, b in _BASE]
    return distances.index(min(distances))
