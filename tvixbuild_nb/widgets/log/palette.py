"""Colours of a log that are none of the sixteen: shown as they are, the text as far from them as it takes to be read.

A background keeps its colour. Text keeps it where it has a contrast of 4.5 (WCAG, AA) to what is behind it; where not,
it goes towards black or white until it has. The sixteen colours have a palette for each theme, in ``front/log.css``.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import NamedTuple

from tvixbuild_nb.widgets.kit.live import front

CONTRAST = 4.5
Rgb = tuple[int, int, int]
# Behind and of a text without colours. Dark themes differ; what can be read on the lightest of them can be on others.
_PAGES = (("#ffffff", "#1f1f1f"), ("#212121", "#ffffff"))


class Theme(NamedTuple):
    """A theme's colours by their names in ``front/log.css``; ``page`` is behind what has no background."""

    page: Rgb
    text: Rgb
    colours: dict[str, Rgb]


@cache
def themes() -> tuple[Theme, Theme]:
    """The light and the dark theme."""
    css = front("css", "log")
    parts = css[css.index("--sgr-0:") :].split(".vscode-dark", 1)
    light, dark = ({name: rgb(value) for name, value in _named(part)} for part in parts)
    (page, text), (dark_page, dark_text) = _PAGES
    return Theme(rgb(page), rgb(text), light), Theme(rgb(dark_page), rgb(dark_text), {**light, **dark})


def _named(css: str) -> list[tuple[str, str]]:
    return re.findall(r"--sgr-([a-z0-9-]+): (#[0-9a-f]{6})", css)


def rgb(text: str) -> Rgb:
    """``#rrggbb`` as numbers."""
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def luminance(colour: Rgb) -> float:
    """Relative luminance as WCAG 2 defines it, 0 to 1."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255 for value in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Rgb, other: Rgb) -> float:
    """The contrast of two colours as WCAG 2 defines it, 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def readable(colour: Rgb, ground: Rgb) -> Rgb:
    """``colour``, or what is nearest to it on the way to black or white and can be read on ``ground``."""
    if contrast(colour, ground) >= CONTRAST:
        return colour
    # Black or white: one of the two has 4.5 on any ground.
    goal = 0 if contrast((0, 0, 0), ground) >= contrast((255, 255, 255), ground) else 255
    low, high = 0, 64
    while high - low > 1:
        middle = (low + high) // 2
        if contrast(_mixed(colour, goal, middle), ground) >= CONTRAST:
            high = middle
        else:
            low = middle
    return _mixed(colour, goal, high)


def _mixed(colour: Rgb, goal: int, share: int) -> Rgb:
    red, green, blue = (round(part + (goal - part) * share / 64) for part in colour)
    return red, green, blue


@lru_cache(maxsize=4096)
def tinted(names: str) -> str:
    """The names of a style for a front end: colours beyond the sixteen as ``t`` and ``o`` with the colours themselves.

    ``tLLLLLLDDDDDD``: text in the light and in the dark theme; ``oRRGGBB``: background in both. A text on such a
    background always has a ``t``.
    """
    if "#" not in names:
        return names
    kept = names.split()
    text = next((name for name in kept if name[0] == "f"), None)
    ground = next((name for name in kept if name[0] == "g"), None)
    colours = "".join(bytes(_text(theme, text, ground, "d" in kept)).hex() for theme in themes())
    kept = [name for name in kept if name != text and "#" not in name]
    behind = [f"o{ground[2:]}"] if ground and "#" in ground else []
    return " ".join([*kept, *behind, f"t{colours}"])


def _text(theme: Theme, text: str | None, ground: str | None, dim: bool) -> Rgb:
    behind = theme.page
    if ground:
        behind = rgb(ground[1:]) if "#" in ground else theme.colours[f"on-{int(ground[1:]) % 8}"]
    if text is None:
        colour = theme.colours["dim"] if dim else theme.text
    else:
        colour = rgb(text[1:]) if "#" in text else theme.colours[text[1:]]
    return readable(colour, behind)
