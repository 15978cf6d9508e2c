"""A read-only mapping in the order of its keys' bytes, hashable and picklable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

V_co = TypeVar("V_co", covariant=True)


def by_bytes(text: str) -> bytes:
    """Sort key of a string: its UTF-8 bytes."""
    return text.encode("utf-8", "surrogateescape")


class SortedMap(Mapping[str, V_co]):
    """Text to values, each key once, iterated in the order of the keys' UTF-8 bytes.

    Frozen and of fixed order, hence with a hash and an equality of their own (dictionaries have no
    hash); equal to any mapping with the same items.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, V_co] | None = None) -> None:
        source = items or {}
        self._items = {key: source[key] for key in sorted(source, key=by_bytes)}

    def __getitem__(self, key: str) -> V_co:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return self._items == dict(other) if isinstance(other, Mapping) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (type(self), (self._items,))
