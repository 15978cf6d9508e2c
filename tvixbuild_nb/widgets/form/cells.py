"""One text of a request form as plain data: what is shown, what can be edited, and why something cannot."""

from __future__ import annotations

from typing import Any

from tvixbuild_nb.castore.progress import human
from tvixbuild_nb.request.redactor import Redactor
from tvixbuild_nb.widgets.kit import visible

# Bytes of one text that can be edited in place; characters and bytes that are shown of any.
MAX_TEXT = 1 << 16
MAX_SHOWN = 2000
MAX_HEX = 64
_WIDTH = 16
DOTS = "••••••••"


def cell(value: object, redactor: Redactor) -> dict[str, Any]:
    """One text: ``shown`` to look at, ``value`` to edit or None, and then ``why``; ``odd`` when they differ.

    Bytes that are no text have the beginning of a hex dump in ``hex``.
    """
    text, size = _text(value)
    if text is None:
        return (
            _locked(visible(repr(value)), size, "not text")
            if not isinstance(value, bytes)
            else _binary(value, redactor)
        )
    safe = redactor.text(text)
    shown = visible(safe, keep="\n\t")
    if safe != text:
        return _locked(shown, size, "holds the value of a secret variable")
    if size > MAX_TEXT:
        return _locked(shown, size, f"larger than {human(MAX_TEXT)}")
    # Text areas know no line end but the newline; those of Windows are put back when the text returns.
    plain = text.replace("\r\n", "\n")
    windows = plain != text
    if "\r" in plain or (windows and plain.count("\n") != text.count("\r\n")):
        return _locked(shown, size, "holds a carriage return")
    return {"value": plain, "shown": shown[:MAX_SHOWN], "size": size, "odd": shown != text, "windows": windows}


def secret_cell() -> dict[str, Any]:
    """The value of a variable that nobody is to see, not even how long it is."""
    return {"value": None, "shown": DOTS, "secret": True}


def _locked(shown: str, size: int, why: str) -> dict[str, Any]:
    return {"value": None, "shown": shown[:MAX_SHOWN], "size": size, "why": why}


def _binary(value: bytes, redactor: Redactor) -> dict[str, Any]:
    text = value.decode("latin-1")
    # Found as bytes: what is not ASCII in a secret stands there as UTF-8.
    if redactor.text(text) != text or redactor.text(value.decode("utf-8", "replace")) != value.decode(
        "utf-8", "replace"
    ):
        return _locked("", len(value), "not text, and holds the value of a secret variable")
    data = _locked(visible(value[:MAX_SHOWN], keep="\n\t"), len(value), "not text")
    return {**data, "hex": hex_lines(value[:MAX_HEX])}


def hex_lines(value: bytes) -> list[str]:
    """A hex dump: offset, sixteen bytes, what of them is ASCII."""
    return [
        f"{at:04x}  {part.hex(' '):<47}  {''.join(chr(c) if 32 <= c < 127 else '.' for c in part)}"
        for at in range(0, len(value), _WIDTH)
        for part in [value[at : at + _WIDTH]]
    ]


def _text(value: object) -> tuple[str | None, int]:
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8"), len(value)
        except UnicodeDecodeError:
            return None, len(value)
    if not isinstance(value, str):
        return None, 0
    try:
        return value, len(value.encode("utf-8"))
    except UnicodeEncodeError:
        return None, len(value)
