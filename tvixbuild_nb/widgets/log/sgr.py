"""What colour sequences (SGR) add up to: a style packed into one number, and the classes it is shown with.

Packed, since a log of a million lines may begin each of them in a style of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

PLAIN = 0
# Six bits of switches; from bit 8 on the colour of the text, from bit 34 on that of the background. A colour is 0 where
# there is none, else a kind in bits 24 and 25 and below it a number of the sixteen, or 0xRRGGBB.
_SWITCHES = {1: 0, 2: 1, 3: 2, 4: 3, 7: 4, 9: 5, 21: 3}
_NAMES = ("b", "d", "i", "u", "inv", "s")
_OFF = {22: 0b11, 23: 0b100, 24: 0b1000, 27: 0b10000, 29: 0b100000}
_TEXT, _GROUND = 8, 34
_COLOUR = (1 << 26) - 1
_ONE_OF_SIXTEEN, _TRUE = 1 << 24, 2 << 24
_INVERSE = 1 << 4


@lru_cache(maxsize=4096)
def applied(style: int, codes: str) -> int:
    """The style after one SGR sequence, of which ``codes`` stands between ``ESC [`` and ``m``.

    What is unknown in it is passed over. Fields may be parted by colons (``38:2::r:g:b``, ``4:3``) as well.
    """
    fields = iter(codes.split(";"))
    for field in fields:
        first, *below = field.split(":")
        code = _number(first)
        if code in (38, 48, 58):
            colour = _extended(iter(_numbers(below)) if below else map(_number, fields))
            if colour is not None and code != 58:
                style = _put(style, _TEXT if code == 38 else _GROUND, colour)
        elif code == 0:
            style = PLAIN
        elif code in _SWITCHES:
            on = 1 << _SWITCHES[code]
            style = style & ~on if code == 4 and below == ["0"] else style | on
        elif code in _OFF:
            style &= ~_OFF[code]
        else:
            style = _simple(style, code)
    return style


def _simple(style: int, code: int) -> int:
    for low, place, first in ((30, _TEXT, 0), (40, _GROUND, 0), (90, _TEXT, 8), (100, _GROUND, 8)):
        if low <= code < low + 8:
            return _put(style, place, _ONE_OF_SIXTEEN | (first + code - low))
    return _put(style, _TEXT if code == 39 else _GROUND, 0) if code in (39, 49) else style


def _put(style: int, place: int, colour: int) -> int:
    return style & ~(_COLOUR << place) | colour << place


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 6 else 9999 if text else 0


def _numbers(fields: list[str]) -> list[int]:
    # With colons a true colour may have a field for its colour space, often empty, before red, green and blue.
    numbers = list(map(_number, fields))
    return [2, *numbers[2:]] if numbers[0] == 2 and len(numbers) > 4 else numbers


def _extended(numbers: Iterator[int]) -> int | None:
    kind = next(numbers, None)
    if kind == 2:
        red, green, blue = (min(next(numbers, 0), 255) for _ in range(3))
        return _TRUE | red << 16 | green << 8 | blue
    if kind != 5:
        return None
    index = min(next(numbers, 0), 255)
    if index < 16:
        return _ONE_OF_SIXTEEN | index
    if index >= 232:
        return _TRUE | (8 + 10 * (index - 232)) * 0x010101
    cube = index - 16
    red, green, blue = (0 if step == 0 else 55 + 40 * step for step in (cube // 36, cube // 6 % 6, cube % 6))
    return _TRUE | red << 16 | green << 8 | blue


@lru_cache(maxsize=4096)
def classes(style: int) -> str:
    """The names of a style, in order: b(old), d(im), i(talic), u(nderline), s(truck), inv(erse), and its colours.

    Colours: f0-f15 or f#rrggbb for the text, g0-g15 or g#rrggbb for the background. Where there is a colour, inverse
    exchanges the two, as a terminal does.
    """
    text, ground = style >> _TEXT & _COLOUR, style >> _GROUND & _COLOUR
    if style & _INVERSE and (text or ground):
        style, text, ground = style & ~_INVERSE, ground, text
    names = [name for bit, name in enumerate(_NAMES) if style >> bit & 1]
    return " ".join(sorted([*names, *_colour("f", text), *_colour("g", ground)]))


def _colour(kind: str, colour: int) -> list[str]:
    if not colour:
        return []
    value = colour & 0xFFFFFF
    return [f"{kind}#{value:06x}" if colour & _TRUE else f"{kind}{value}"]
