"""Explanation: what is to be said about one part of a config.json; parts are named by JSON pointers (RFC 6901)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tvixbuild_nb.oci.mounts import PlannedMount
from tvixbuild_nb.oci.options import SpecOptions
from tvixbuild_nb.request import BuildRequest

SPECIFICATION = "https://github.com/opencontainers/runtime-spec/blob/v1.1.0"


@dataclass(frozen=True, slots=True)
class Reference:
    """A place in the OCI runtime-spec: document, the section's name, and its anchor in the published page."""

    document: str
    section: str
    anchor: str

    @property
    def url(self) -> str:
        return f"{SPECIFICATION}/{self.document}#{self.anchor}"

    def __str__(self) -> str:
        return f"{self.document}, {self.section}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """One part of a configuration.

    ``path``: its JSON pointer; ``what``: what it does; ``asked_by``: the request's field, the option or the default it
    comes from; ``reference``: where the runtime-spec says so; ``without``: what would be otherwise without it.
    """

    path: str
    what: str
    asked_by: str
    reference: Reference
    without: str

    def to_dict(self) -> dict[str, str]:
        """As JSON data."""
        return {
            "path": self.path,
            "what": self.what,
            "asked_by": self.asked_by,
            "specified_in": str(self.reference),
            "url": self.reference.url,
            "without": self.without,
        }


@dataclass(frozen=True, slots=True)
class Place:
    """One part while it is being explained: its keys and value, the whole configuration, and what it was made from."""

    keys: tuple[str, ...]
    value: Any
    config: Mapping[str, Any]
    request: BuildRequest
    options: SpecOptions
    planned: Sequence[PlannedMount]

    @property
    def index(self) -> int:
        """The innermost list index among the keys."""
        return next(int(key) for key in reversed(self.keys) if key.isdigit())

    @property
    def mount(self) -> PlannedMount:
        return self.planned[int(self.keys[1])]

    def origin(self, field: str) -> str:
        """Whether the options were told so, or have it by default."""
        default = SpecOptions.model_fields[field].default
        return "default" if getattr(self.options, field) == default else f"options.{field}"


Text = str | Callable[[Place], str]


@dataclass(frozen=True, slots=True)
class Rule:
    """What is said about every part of one kind; texts may depend on the place."""

    what: Text
    asked_by: Text
    reference: Reference
    without: Text

    def at(self, place: Place) -> Explanation:
        """The explanation of the part at ``place``."""

        def said(text: Text) -> str:
            return text if isinstance(text, str) else text(place)

        return Explanation(
            pointer(*place.keys), said(self.what), said(self.asked_by), self.reference, said(self.without)
        )


def pointer(*keys: str | int) -> str:
    """The JSON pointer made of these keys."""
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in keys)


def keys_of(path: str) -> list[str]:
    """The keys a JSON pointer is made of."""
    return [key.replace("~1", "/").replace("~0", "~") for key in path.split("/")[1:]]


def parts(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every object, list and value in ``value`` with its JSON pointer, the outer ones first."""
    yield path, value
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from parts(item, path + pointer(key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from parts(item, path + pointer(index))
