"""Text from builds, requests and stores, made harmless to look at: it can neither act nor pose as something else."""

from __future__ import annotations

import unicodedata

# Cc: control characters; Cf: direction marks, zero-width joiners and the like; Cs: bytes that were not UTF-8 (as
# os.fsdecode has them); Co, Cn: what no font can show; Zl, Zp: line ends that are none to a terminal.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str | bytes, *, keep: str = "") -> str:
    r"""``text`` with every character that cannot be seen, or that moves others, as an escape such as ``\x1b``.

    Bytes are decoded as UTF-8, what is not becomes ``\xNN``, and so do the surrogates that :func:`os.fsdecode` makes.
    ``keep`` names characters that may pass, a newline for instance. The result is always valid Unicode.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character in keep or unicodedata.category(character) not in _HIDDEN else _escaped(character)
        for character in text
    )


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    known = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character)
    if known is not None:
        return known
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
