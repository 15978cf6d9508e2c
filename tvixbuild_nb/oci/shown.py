"""Text of requests and kernels, made harmless to print."""

from __future__ import annotations


def shown(text: str) -> str:
    r"""``text`` with whatever cannot be seen, or moves other characters, as an escape such as ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )
