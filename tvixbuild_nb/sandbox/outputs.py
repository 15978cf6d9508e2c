"""What a run's outputs are when somebody asks for them by path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvixbuild_nb.castore import Tree
from tvixbuild_nb.display import mimebundle


class Outputs(dict[str, Tree]):
    """Trees by output path; a path that is not there is a KeyError that says how the run ended.

    ``needles``: output path -> the needles found in it.
    """

    def __init__(self, trees: Mapping[str, Tree], run: str, needles: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__(trees)
        self._run = run
        self.needles = needles

    def __missing__(self, path: str) -> Tree:
        known = f"it has {', '.join(self)}" if self else "it has none"
        raise KeyError(f"no output {path!r}: {known}; {self._run}")

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)
