"""The attributes of a derivation that its builder heeds, from its variables or its structured attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from tvixbuild_nb.errors import InvalidDerivation
from tvixbuild_nb.nix.derivation import Derivation


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes of ``derivation``; ``structured`` is None where they are its environment variables."""

    derivation: Derivation
    structured: dict[str, Any] | None

    @classmethod
    def of(cls, derivation: Derivation) -> Self:
        """:class:`InvalidDerivation` when ``__json`` is there and not the JSON of an object."""
        found = derivation.structured_attributes
        if found is not None and not isinstance(found, dict):
            raise InvalidDerivation("structured attributes are a JSON object", path="__json")
        return cls(derivation, found)

    def strings(self, name: str) -> tuple[str, ...]:
        """A list of strings, empty when there is none: a variable's words, or a list of structured attributes."""
        if self.structured is None:
            return tuple(words(text(self.derivation.env.get(name.encode(), b""), name)))
        value = self.structured.get(name, [])
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise InvalidDerivation("this attribute is a list of strings", path=name)
        return tuple(value)

    def boolean(self, name: str) -> bool:
        """Whether it is set: ``1`` in a variable, ``true`` in structured attributes."""
        if self.structured is None:
            return self.derivation.env.get(name.encode()) == b"1"
        value = self.structured.get(name, False)
        if not isinstance(value, bool):
            raise InvalidDerivation("this attribute is true or false", path=name)
        return value


def words(value: str) -> list[str]:
    """What stands between spaces, tabs and ends of lines; other white space belongs to the words, as in Nix."""
    return [word for word in value.translate(str.maketrans("\t\n\r", "   ")).split(" ") if word]


def text(data: bytes, what: str) -> str:
    """``data`` as text; :class:`InvalidDerivation` with the offset where it is not UTF-8, which no request can hold."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidDerivation("not UTF-8: a build request cannot hold it", path=what, index=error.start) from error
