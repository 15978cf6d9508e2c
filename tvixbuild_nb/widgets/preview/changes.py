"""What a change of the sandbox did to its configuration, as the tree marks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tvixbuild_nb.oci import Preview
from tvixbuild_nb.oci.compare import differences
from tvixbuild_nb.oci.explanation import keys_of
from tvixbuild_nb.widgets.kit import visible
from tvixbuild_nb.widgets.preview.data import Data, Shown, detail, member_name, value_text

_DID = {"ours only": "added", "theirs only": "removed"}
MOST_TOLD = 20


@dataclass(frozen=True, slots=True)
class Removed:
    """A member that is gone: how it was called, its value fit to be shown, and its JSON pointer in ``was``."""

    name: str
    value: Any
    path: str
    was: Preview

    def detail(self) -> Data:
        """What was to be said about it."""
        found = detail(Shown.of(self.was), self.path)
        return {**found, "path": f"{found['path']} (removed)", "value": value_text(self.value)}


@dataclass(frozen=True, slots=True)
class Changes:
    """One change: the ``parts`` that are new or other (JSON pointers), what was removed from each, and it in words."""

    parts: frozenset[str] = frozenset()
    removed: Mapping[str, tuple[Removed, ...]] = field(default_factory=dict)
    told: tuple[str, ...] = ()

    @classmethod
    def between(cls, before: Preview, now: Preview) -> Changes:
        """What became of ``before``."""
        old, new = before.spec.to_dict(), now.spec.to_dict()
        gone = {row.where: row.path for row in differences(old, new) if row.kind == "ours only"}
        removed: dict[str, tuple[Removed, ...]] = {}
        # What is secret by now is not to be shown of what was, either.
        was = replace(before, redactor=now.redactor)
        # The same rows twice: as they are, to find each in the other configuration, and fit to be shown.
        shown = now.diff(before).rows
        for raw, row in zip(differences(new, old), shown, strict=True):
            if row.kind == "theirs only":
                member = Removed(_name(gone[raw.where], row.theirs), row.theirs, gone[raw.where], was)
                removed[row.path] = (*removed.get(row.path, ()), member)
        parts = frozenset(row.path for row in shown if row.kind != "theirs only")
        return cls(parts, removed, tuple(visible(f"{row.where} ({_DID.get(row.kind, row.kind)})") for row in shown))

    def in_words(self) -> list[str]:
        """All of it, no more than can be read."""
        more = len(self.told) - MOST_TOLD
        return [*self.told[:MOST_TOLD], *([f"{more} more"] if more > 0 else [])]

    def show_in(self, path: str, *, below: bool) -> bool:
        """Whether the part changed, or with ``below`` anything in it."""
        if path in self.parts:
            return True
        inside = f"{path}/"
        return below and (path in self.removed or any(at.startswith(inside) for at in (*self.parts, *self.removed)))


def _name(path: str, value: Any) -> str:
    key = keys_of(path)[-1]
    return visible(member_name(int(key) if key.isdigit() else key, value))
