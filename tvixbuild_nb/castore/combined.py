"""Addresses of several stores as one: ``cache(NEAR, FAR)``, ``priority(FIRST, NEXT, ...)``, also within each other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from tvixbuild_nb.castore.castore import Castore
from tvixbuild_nb.errors import InvalidAddress


def open_combined(word: str, inside: str, open_part: Callable[[str], Castore]) -> Castore:
    """The store at ``word(inside)``; addresses that hold a comma or parentheses of their own are combined in Python."""
    from tvixbuild_nb.castore.caching import cache
    from tvixbuild_nb.castore.priority import priority

    parts = _split(inside, f"{word}({inside})")
    if not all(parts) or (word == "cache" and len(parts) != 2):
        raise InvalidAddress(
            f"not addresses of {'two stores' if word == 'cache' else 'stores'}: {inside!r}",
            hint="cache(NEAR, FAR) and priority(FIRST, NEXT, ...) take addresses, with commas between",
        )
    with ExitStack() as stack:
        opened = [stack.enter_context(open_part(part)) for part in parts]
        castore = cache(*opened) if word == "cache" else priority(*opened)
        stack.pop_all()
    return castore


def _split(text: str, address: str) -> list[str]:
    """The parts between the commas that stand in no parentheses."""
    parts, depth = [""], 0
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 0:
            break
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    if depth != 0:
        raise InvalidAddress(f"the parentheses do not match in {address!r}")
    return [part.strip() for part in parts]
