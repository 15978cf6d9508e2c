"""The trees of a run, outputs and inputs, with what the run knows of them beyond their bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tvixbuild_nb.build import Recorded
from tvixbuild_nb.castore import Castore, Node, Tree
from tvixbuild_nb.castore.below import Needles
from tvixbuild_nb.display import mimebundle
from tvixbuild_nb.fs import InputAccess
from tvixbuild_nb.request.redactor import NOTHING_SECRET, Redactor


@dataclass(frozen=True)
class Origin:
    """What a run knows of a tree: the needles found in it, what the build touched of it, and what nobody is to see.

    ``accesses`` None: it was not taken down. ``recorded``: when and where, of a run that comes from a record.
    """

    needles: tuple[str, ...] = ()
    accesses: InputAccess | None = None
    redactor: Redactor = NOTHING_SECRET
    recorded: Recorded | None = None

    @cached_property
    def finder(self) -> Needles:
        """Which entries hold which of :attr:`needles`; found out when asked, then remembered."""
        return Needles([needle.encode() for needle in self.needles])


class RunTree(Tree):
    """A place in one of a run's trees; its view marks what :class:`Origin` knows. The ``repr`` shows no secrets."""

    __slots__ = ("origin",)

    def __init__(
        self, node: Node, castore: Castore, name: bytes = b"", *, origin: Origin, parts: tuple[bytes, ...] = ()
    ) -> None:
        super().__init__(node, castore, name, parts=parts)
        self.origin = origin

    def _at(self, parts: tuple[bytes, ...]) -> RunTree:
        name, node = self._root
        return RunTree(node, self.castore, name, origin=self.origin, parts=parts)

    def __repr__(self) -> str:
        return self.origin.redactor.text(super().__repr__())


class RunTrees(dict[str, RunTree]):
    """Trees by path or name, displayed as the roots of one view; one that is not there is a KeyError in words."""

    word = "tree"

    def __init__(self, trees: Mapping[str, RunTree], run: str) -> None:
        super().__init__(trees)
        self._run = run

    def __missing__(self, name: str) -> RunTree:
        known = f"it has {', '.join(self)}" if self else "it has none"
        raise KeyError(f"no {self.word} {name!r}: {known}; {self._run}")

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)


class Outputs(RunTrees):
    """A run's outputs by path as in the request; a KeyError says how the run ended."""

    word = "output"


class Rejected(RunTrees):
    """Outputs that were made and not taken, as :class:`Outputs`."""

    word = "rejected output"


class Inputs(RunTrees):
    """A run's inputs by name, each with what the build touched of it."""

    word = "input"
