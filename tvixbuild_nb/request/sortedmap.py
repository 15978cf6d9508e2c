"""Read-only mappings in a fixed order, hashable and picklable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

K = TypeVar("K")
V_co = TypeVar("V_co", covariant=True)


def by_bytes(text: str) -> bytes:
    """Sort key of a string: its UTF-8 bytes."""
    return text.encode("utf-8", "surrogateescape")


class FrozenMap(Mapping[K, V_co]):
    """A mapping in the order of its keys, each key once, that nothing changes.

    Hence it has a hash and an equality of its own (dictionaries have no hash); it is equal to any mapping with the
    same items.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[K, V_co] | None = None) -> None:
        source = items or {}
        self._items: dict[K, V_co] = {key: source[key] for key in self._sorted(source)}

    @staticmethod
    def _sorted(keys: Iterable[Any]) -> list[Any]:
        return sorted(keys)

    def __getitem__(self, key: K) -> V_co:
        return self._items[key]

    def __iter__(self) -> Iterator[K]:
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


class SortedMap(FrozenMap[str, V_co]):
    """Text to values, iterated in the order of the keys' UTF-8 bytes."""

    __slots__ = ()

    @staticmethod
    def _sorted(keys: Iterable[Any]) -> list[Any]:
        return sorted(keys, key=by_bytes)
